// What both pages do once they have GraphiQL, wherever it came from.

import { examples } from './examples.js';

/** Puts GraphiQL in the place of the fallback text. */
export function start({ createElement, createRoot, GraphiQL, createFetcher }) {
  // What one types here may be personal: it ends with this browser tab, unlike in localStorage.
  const storage = withoutHeaders(window.sessionStorage);
  const firstVisit = storage.getItem('graphiql:tabState') === null;
  const props = {
    fetcher: createFetcher({ url: '/graphql', enableIncrementalDelivery: false }),
    storage,
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
    showPersistHeadersSettings: false,
    defaultTabs: examples,
    // GraphiQL 4 does not show the variables of the first default tab by itself.
    variables: firstVisit ? examples[0].variables : undefined,
    defaultEditorToolsVisibility: 'variables',
  };
  const logo = createElement(GraphiQL.Logo, null, 'Oubliette');
  createRoot(document.getElementById('graphiql')).render(createElement(GraphiQL, props, logo));
}

/**
 * A storage that keeps no headers, since they hold a token. GraphiQL's history writes those of every query,
 * whatever `shouldPersistHeaders` says.
 */
function withoutHeaders(storage) {
  return {
    get length() {
      return storage.length;
    },
    getItem: (name) => storage.getItem(name),
    setItem: (name, value) => storage.setItem(name, stripped(value)),
    removeItem: (name) => storage.removeItem(name),
    clear: () => storage.clear(),
  };
}

function stripped(value) {
  try {
    return JSON.stringify(JSON.parse(value, (name, part) => (name === 'headers' ? null : part)));
  } catch {
    return value; // Not JSON: a query, or the name of a theme.
  }
}
