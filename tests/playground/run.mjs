// Uses the playground of a running server as a person would, in a real Chromium:
//
//     npm install && node run.mjs http://127.0.0.1:8000 --edition built|cdn [--screenshot FILE]
//
// The edition is what the server must serve: `built` has everything itself, and any request to elsewhere
// fails the test. `cdn` loads GraphiQL from a CDN, whose files are answered from web/node_modules, byte
// for byte, so that the browser checks the page's integrity hashes without a network. Everything else
// off-origin, every violation of the page's Content-Security-Policy, and every other error that the
// browser reports, fails the test.
//
// docs/playground.png is a screenshot of `built`.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CHROMIUM = process.env.OUBLIETTE_TEST_CHROMIUM || '/usr/bin/chromium';
const CDN = 'https://cdn.jsdelivr.net/npm/';
const TOKEN = 'a-token-that-must-not-be-kept';
const TABS = ['CreateUser', 'UserByUsername', 'UserByEmail', 'Users', 'UpdateUser', 'Attributes', 'ForgetUser', 'Proof'];
const WAIT_MS = 15_000;

async function main() {
  const { origin, edition, screenshot } = readArguments();
  const browser = await launch();
  let playground;
  try {
    playground = await open(browser, origin, edition === 'cdn' ? cdnFile : null);
    await tour(playground, edition, screenshot);
    await attack(playground);
    if (edition === 'cdn') {
      playground.step = 'the page without its CDN';
      await fallback(browser, origin, 'a changed file', async (url) => {
        const file = await cdnFile(url);
        return url.endsWith('/graphiql.min.js') ? Buffer.concat([file, Buffer.from('\n')]) : file;
      });
      await fallback(browser, origin, 'a CDN out of reach', async () => null);
    }
    console.log(`playground (${edition}): ok`);
  } catch (error) {
    await explain(error, playground);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/** Creates a person, finds, changes and forgets them; reads them before and after. */
async function tour(playground, edition, screenshot) {
  const { page, origin } = playground;
  // In a picture, the example's own name.
  const username = screenshot ? 'ada' : `ada-${Date.now().toString(36)}-${randomBytes(3).toString('hex')}`;
  const email = `${username}@example.com`;
  const step = (name) => (playground.step = name);

  step('the page opens with its examples');
  await page.goto(`${origin}/playground`);
  await page.locator('.graphiql-tab').first().waitFor();
  equal(await page.title(), 'Oubliette', 'the title');
  equal(await page.locator('.graphiql-tab-button').allInnerTexts(), TABS, 'the tabs');
  equal(await unpinned(page), [], 'files from elsewhere without an integrity hash');
  equal((await loadedFromElsewhere(page)).length, edition === 'cdn' ? 4 : 0, 'files from elsewhere');
  // The schema has arrived once the documentation can show it.
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.locator('.graphiql-doc-explorer').getByText('Mutation', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Hide Documentation Explorer' }).click();

  step('CreateUser answers in the clear');
  const example = JSON.parse(await text(page, 'Variables'));
  equal(Object.keys(example.input), ['username', 'email', 'phone'], 'the example variables');
  await replace(page, 'Variables', { input: { ...example.input, username, email } });
  const { createUser: created } = data(await execute(page));
  equal([created.username, created.email], [username, email], 'the created user');
  const id = created.id;
  if (screenshot) {
    await editor(page, 'Variables').hover();
    await page.mouse.wheel(0, -500); // to the first line
    await page.mouse.move(0, 0);
    await page.screenshot({ path: screenshot });
  }

  step('UserByUsername finds the person');
  await openTab(page, 'UserByUsername');
  await replace(page, 'Variables', { username });
  equal(data(await execute(page)).userByUsername.email, email, 'the e-mail');

  step('UserByEmail finds the person in another spelling');
  await openTab(page, 'UserByEmail');
  const { email: spelling } = JSON.parse(await text(page, 'Variables'));
  equal(spelling, 'Ada@EXAMPLE.com', 'the example');
  await replace(page, 'Variables', { email: email.toUpperCase() });
  equal(data(await execute(page)).userByEmail, { id, username, email }, 'the user');

  step('Users lists, with the variables as they are');
  await openTab(page, 'Users');
  await page.getByRole('button', { name: 'Headers', exact: true }).click();
  await replace(page, 'Headers', { authorization: `Bearer ${TOKEN}` });
  await page.waitForTimeout(1000); // The history is told a moment later what was typed; a hand is slower than that.
  const sent = page.waitForRequest((request) => new URL(request.url()).pathname === '/graphql');
  equal(data(await execute(page)).users.edges.length > 0, true, 'somebody is listed');
  equal((await sent).headers().authorization, `Bearer ${TOKEN}`, 'the token typed under Headers');
  await page.getByRole('button', { name: 'Variables', exact: true }).click();

  step('UpdateUser removes the phone number and keeps the e-mail');
  await openTab(page, 'UpdateUser');
  await replace(page, 'Variables', { id, input: { phone: null } });
  const { updateUser: updated } = data(await execute(page));
  equal([updated.phone, updated.email], [null, email], 'phone and e-mail');

  step('Attributes writes what the configuration declares, and shows it open and masked');
  await openTab(page, 'Attributes');
  const { attributes } = JSON.parse(await text(page, 'Variables'));
  await replace(page, 'Variables', { id, attributes });
  const { updateUser: given } = data(await execute(page));
  const shown = (name) => given.attributes.find((attribute) => attribute.name === name);
  equal([shown('full_name').value, shown('full_name').masked], ['Ada Lovelace', 'A••• L•••'], 'the name');
  equal([shown('date_of_birth').kind, shown('date_of_birth').masked], ['DATE', '1815-••-••'], 'the date of birth');
  equal(shown('email').value, email, 'the e-mail address is among them');

  step('a query typed by hand answers');
  await page.getByRole('button', { name: 'New tab' }).click();
  await select(page, 'Query Editor');
  await page.keyboard.type(`query Mine { user(id: "${id}") { username email phone } }`, { delay: 5 });
  await page.keyboard.press('Escape'); // the list of completions
  await page.locator('.graphiql-tab-active').getByText('Mine').waitFor();
  equal(data(await execute(page)).user, { username, email, phone: null }, 'the user');

  step('ForgetUser answers with the entry in the ledger');
  await openTab(page, 'ForgetUser');
  await replace(page, 'Variables', { id });
  const { forgetUser: erasure } = data(await execute(page));
  equal(erasure.userId, id, 'the forgotten id');
  equal(/^[0-9a-f]{64}$/.test(erasure.digest), true, 'the digest is 64 hex digits');

  step('the query typed by hand now answers FORGOTTEN');
  await openTab(page, 'Mine');
  equal(forgotten(await execute(page)), { user: null }, 'the data');

  step('Proof shows the entry in the ledger, and FORGOTTEN');
  await openTab(page, 'Proof');
  await replace(page, 'Variables', { id });
  const proof = forgotten(await execute(page));
  equal([proof.erasure, proof.user], [erasure, null], 'the entry and the user');

  step('UserByEmail finds nobody any more');
  await openTab(page, 'UserByEmail');
  equal(data(await execute(page)), { userByEmail: null }, 'the data');

  step('nothing is kept beyond the browser tab');
  equal(await page.evaluate(() => Object.keys(window.localStorage)), [], 'keys in localStorage');
  equal(await page.evaluate(() => document.cookie), '', 'cookies');

  step('the token is kept nowhere');
  const kept = await page.evaluate(() => ({ ...window.sessionStorage }));
  equal('graphiql:queries' in kept, true, 'the history is kept');
  const places = Object.keys(kept).filter((name) => kept[name].includes(TOKEN));
  equal(places, [], 'the places that hold the token');

  step('the browser reports no error');
  equal(playground.problems, [], 'problems');
}

/** What somebody might get into the page neither runs nor sends anything: the policy is in force. */
async function attack(playground) {
  playground.step = 'a script that is not ours does not run, and cannot send';
  const { page } = playground;
  const outcome = await page.evaluate(async () => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.body.append(script);
    const button = document.createElement('button');
    button.setAttribute('onclick', 'window.ran = true');
    document.body.append(button);
    button.click();
    const sent = await fetch('https://elsewhere.invalid/', { mode: 'no-cors' }).then(() => true, () => false);
    return { ran: 'ran' in window, sent };
  });
  equal(outcome, { ran: false, sent: false }, 'what became of it');
  const directives = ['script-src-elem', 'script-src-attr', 'connect-src'];
  const reported = (name) => playground.problems.some((text) => text.includes(`policy: ${name} `));
  const deadline = Date.now() + WAIT_MS; // the browser reports in its own time
  while (!directives.every(reported) && Date.now() < deadline) await page.waitForTimeout(50);
  equal(directives.filter(reported), directives, 'what the policy refused');
  const elsewhere = playground.problems.filter((text) => text.startsWith('request to elsewhere'));
  equal(elsewhere, [], 'requests to elsewhere');
}

/** Whatever the CDN does, the reader is told how to go on, and nothing unexpected runs. */
async function fallback(browser, origin, what, answer) {
  const { page } = await open(browser, origin, answer);
  try {
    await page.goto(`${origin}/playground`);
    const shown = await page.locator('body').innerText();
    for (const part of ['could not be loaded', `curl ${origin}/graphql`]) {
      equal(shown.includes(part), true, `with ${what}, the page shows ${JSON.stringify(part)}`);
    }
    equal(await page.locator('.graphiql-container').count(), 0, `with ${what}, GraphiQLs`);
  } finally {
    await page.context().close();
  }
}

// What a person does.

function editor(page, label) {
  const pane =
    label === 'Response' ? page.locator('.graphiql-response') : page.getByRole('region', { name: label, exact: true });
  return pane.locator('.CodeMirror').filter({ visible: true }); // the headers' editor hides beside the variables'
}

async function openTab(page, title) {
  await page.getByRole('tab').getByText(title, { exact: true }).click();
  // GraphiQL learns the operation's name a moment after the tab shows; a hand is slower than that.
  const named = (name) => document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.operationName === name;
  await page.waitForFunction(named, title);
}

async function select(page, label) {
  await editor(page, label).locator('.CodeMirror-lines').click();
  await page.keyboard.press('ControlOrMeta+a');
}

/** Replaces an editor's text as pasting does. */
async function replace(page, label, value) {
  await select(page, label);
  await page.keyboard.insertText(JSON.stringify(value, null, 2));
}

/** Runs the query of the open tab and returns what the response pane shows. */
async function execute(page) {
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname === '/graphql');
  await page.getByRole('button', { name: /^Execute query/ }).click();
  const answer = await (await answered).json();
  const top = (lines) => lines.split('\n').slice(0, 20).join('\n'); // the pane draws what is in sight
  const expected = top(JSON.stringify(answer, null, 2));
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const shown = top(await text(page, 'Response'));
    if (shown === expected) return answer;
    if (Date.now() > deadline) throw new Error(`the response pane shows\n${shown}\ninstead of\n${expected}`);
    await page.waitForTimeout(50);
  }
}

/** The text that an editor shows, line by line. */
async function text(page, label) {
  const lines = await editor(page, label).locator('.CodeMirror-line').allTextContents();
  return lines.join('\n').replaceAll('\u200b', '').replaceAll('\u00a0', ' ');
}

// What a person expects.

function data(answer) {
  if (answer.errors) throw new Error(`unexpected errors: ${JSON.stringify(answer.errors)}`);
  return answer.data;
}

/** The data beside a single FORGOTTEN at `user`. */
function forgotten(answer) {
  const errors = answer.errors?.map(({ path, extensions }) => ({ path, code: extensions?.code }));
  equal(errors, [{ path: ['user'], code: 'FORGOTTEN' }], 'the errors');
  return answer.data;
}

function equal(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: expected ${e}, got ${a}`);
}

// The browser.

async function launch() {
  if (!existsSync(CHROMIUM)) {
    fail(`there is no Chromium at ${CHROMIUM}`, 'apt-get install -y chromium, or set OUBLIETTE_TEST_CHROMIUM');
  }
  const { chromium } = await import('playwright-core').catch((error) =>
    fail(error.message, 'npm install, in tests/playground'),
  );
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * A page with a fresh profile, whose CDN is `answer(url)`: the file's bytes, or null for no answer. Without
 * `answer`, there is no CDN.
 */
async function open(browser, origin, answer) {
  const viewport = { width: 1280, height: 840 };
  const context = await browser.newContext({ viewport, serviceWorkers: 'block' });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const playground = { page, origin, problems: [], step: 'start' };
  const problem = (text) => playground.problems.push(text);

  page.on('console', (message) => message.type() === 'error' && problem(`console: ${message.text()}`));
  page.on('pageerror', (error) => problem(`page error: ${error.message}`));
  page.on('requestfailed', (request) => problem(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('websocket', (socket) => problem(`unexpected web socket: ${socket.url()}`));
  await page.addInitScript(() =>
    window.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, sourceFile }) =>
      console.error(`policy: ${effectiveDirective} refused ${blockedURI} (${sourceFile})`),
    ),
  );
  await context.route('**/*', async (route) => {
    const url = route.request().url();
    if (new URL(url).origin === origin) return route.continue();
    if (!answer || !url.startsWith(CDN)) {
      problem(`request to elsewhere: ${url}`);
      return route.abort();
    }
    const body = await answer(url).catch((error) => problem(error.message) && null);
    if (body === null) return route.abort('connectionrefused');
    const contentType = extname(url) === '.css' ? 'text/css' : 'text/javascript';
    return route.fulfill({ body, contentType, headers: { 'access-control-allow-origin': '*' } });
  });
  return playground;
}

/** `…/npm/NAME@VERSION/PATH`, from the node_modules of `web`, which builds with the same versions. */
async function cdnFile(url) {
  const [, name, version, path] = /^((?:@[^/]+\/)?[^@/]+)@([^/]+)\/(.+)$/.exec(url.slice(CDN.length)) ?? [];
  if (!name) throw new Error(`no exact version in ${url}`);
  const directory = fileURLToPath(new URL(`../../web/node_modules/${name}/`, import.meta.url));
  const installed = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')).version;
  if (installed !== version) throw new Error(`${url} is wanted, but ${name}@${installed} is installed`);
  return readFile(join(directory, path));
}

/** The addresses of scripts and styles from elsewhere that the browser would take with any content. */
async function unpinned(page) {
  const loaded = await loadedFromElsewhere(page);
  return loaded.filter((file) => !file.pinned).map((file) => file.url);
}

/** Scripts and styles from elsewhere. */
async function loadedFromElsewhere(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('script[src], link[rel=stylesheet]')]
      .map((e) => ({
        url: e.src || e.href,
        pinned: /^sha(256|384|512)-/.test(e.integrity) && e.crossOrigin === 'anonymous',
      }))
      .filter(({ url }) => new URL(url).origin !== window.location.origin),
  );
}

// The command line.

function readArguments() {
  const usage = 'node run.mjs http://127.0.0.1:PORT --edition built|cdn [--screenshot FILE]';
  try {
    const options = { edition: { type: 'string' }, screenshot: { type: 'string' } };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (positionals.length !== 1) throw new Error('one address is needed');
    if (!['built', 'cdn'].includes(values.edition)) throw new Error('an edition is needed');
    return { origin: new URL(positionals[0]).origin, ...values };
  } catch (error) {
    return fail(error.message, usage);
  }
}

async function explain(error, playground) {
  console.error(`playground: failed at: ${playground?.step ?? 'start'}\n${error.message}`);
  if (!playground) return;
  const problems = playground.problems.filter((problem) => !error.message.includes(JSON.stringify(problem)));
  for (const problem of problems) console.error(`the browser reported: ${problem}`);
  const path = join(tmpdir(), `oubliette-playground-${process.pid}.png`);
  await playground.page.screenshot({ path }).then(
    () => console.error(`screenshot: ${path}`),
    (why) => console.error(`no screenshot: ${why.message}`),
  );
}

function fail(message, hint) {
  console.error(`playground: ${message}\nhint: ${hint}`);
  process.exit(1);
}

await main();
