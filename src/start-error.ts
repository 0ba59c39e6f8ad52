/** Why a server could not start, as its operator should read it. */
export class StartError extends Error {
  override readonly name = "StartError";
}
