// The playground with everything from this server. Without a build: page/cdn.js.

import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import 'graphiql/style.css';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';

import { start } from './page/playground.js';

start({ createElement, createRoot, GraphiQL, createFetcher: createGraphiQLFetcher });
