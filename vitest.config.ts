import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Minutes long and measured by hand, and what has a command of its own: not part of a check.
    exclude: ["test/soak/**", "test/clients/**"],
    pool: "forks",
    maxWorkers: 2,
    // No test waits for time; these only turn a hang into a failure.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    teardownTimeout: 10_000,
    restoreMocks: true,
    reporters: ["default", "json"],
    outputFile: { json: "test-results/vitest.json" },
  },
});
