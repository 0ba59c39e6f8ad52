/** Why a store cannot be used, as its operator should read it. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}
