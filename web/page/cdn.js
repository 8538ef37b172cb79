// The playground with GraphiQL from a CDN: cdn.html has loaded it, or has not.

import { start } from './playground.js';

const { GraphiQL, React, ReactDOM } = window;

document.getElementById('origin').textContent = window.location.origin;
if (GraphiQL && document.getElementById('graphiql-css').sheet) {
  start({
    createElement: React.createElement,
    createRoot: ReactDOM.createRoot,
    GraphiQL,
    createFetcher: GraphiQL.createFetcher,
  });
} else {
  document.getElementById('status').textContent =
    'GraphiQL could not be loaded from cdn.jsdelivr.net: it cannot be reached from this browser, ' +
    'or what it sent is not what this page expects.';
}
