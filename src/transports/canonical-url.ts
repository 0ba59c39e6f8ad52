/**
 * The request target that a client meant. Base URLs are often given with a slash too many, or with a `/v1` that the client
 * adds again: `//v1/responses`, `/v1//responses` and `/v1/v1/responses` are all `/v1/responses`. An absolute URL stays as it
 * is, since its host is still to be checked.
 */
export function canonicalUrl(target: string): string {
  if (!target.startsWith("/")) return target;
  const end = target.search(/[?#]/);
  const path = end === -1 ? target : target.slice(0, end);
  const mended = path.replaceAll(/\/{2,}/g, "/").replace(/^\/v1(?:\/v1)+(?=\/|$)/, "/v1");
  return mended === path ? target : mended + target.slice(path.length);
}
