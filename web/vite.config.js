import { defineConfig } from 'vite';

export default defineConfig({
  // Where src/http/playground.rs serves what is built.
  base: '/playground/',
  publicDir: false,
  build: {
    // The page's Content-Security-Policy takes scripts and styles from files only.
    assetsInlineLimit: 0,
    // GraphiQL with its editor is one megabyte, and nothing shows before it is there.
    chunkSizeWarningLimit: 1500,
    license: true,
    rolldownOptions: {
      // Each file of some packages says "use client", to frameworks that render on servers.
      onLog: (level, log, report) => log.code === 'MODULE_LEVEL_DIRECTIVE' || report(level, log),
    },
  },
});
