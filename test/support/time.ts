import { onTestFinished, vi } from "vitest";

/**
 * Timers that go off when the test says so. Sockets stay real: wait for what comes over them as ever, and let time pass in
 * between.
 */
export function stopTime(): { pass: (milliseconds: number) => void; timers: () => number } {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  return {
    pass: (milliseconds) => void vi.advanceTimersByTime(milliseconds),
    timers: () => vi.getTimerCount(),
  };
}
