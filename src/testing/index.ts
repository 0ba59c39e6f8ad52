/** Doubles for tests of whatever is built on turnwire. */

export { ClearSeal } from "./clear-seal.ts";
export { FakeRuntime } from "./runtime.ts";
export {
  answer,
  callFunctions,
  type CallEnd,
  finish,
  Gate,
  type Move,
  ScriptedBackend,
  type ScriptedCall,
  type Step,
} from "./scripted-backend.ts";
