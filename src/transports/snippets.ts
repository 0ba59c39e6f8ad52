/** Lines to paste, for each kind of client. */
export type Snippets = {
  readonly curl: string;
  readonly websocket: string;
  readonly typescript: string;
  readonly python: string;
  readonly codex: string;
};

/**
 * @param origin scheme and host, known to be plain
 * @param firstModel a model to show; one whose name a shell or a string could trip over is not shown
 */
export function snippets(origin: string, firstModel: string | undefined, needsKey: boolean): Snippets {
  const model = firstModel !== undefined && /^[\w.:/@+-]+$/.test(firstModel) ? firstModel : "your-model";
  const baseUrl = `${origin}/v1`;
  const socketUrl = `${baseUrl.replace(/^http/, "ws")}/responses`;
  const bearer = needsKey ? ` \\\n  -H "Authorization: Bearer $OPENAI_API_KEY"` : "";
  const headers = needsKey ? `, {\n  headers: { Authorization: "Bearer " + process.env.OPENAI_API_KEY },\n}` : "";
  // The SDKs insist on a key; with it in the environment it need not be named.
  // In a checkout this Node.js comes with the install; the machine's own may be too old to know WebSocket.
  const node = process.execPath.includes("node_modules") ? "npx node" : "node";
  const scriptKey = needsKey ? "" : `, apiKey: "none"`;
  const pythonKey = needsKey ? "" : `, api_key="none"`;
  return {
    curl: `curl ${baseUrl}/responses${bearer} \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "input": "Say hello."}'`,
    websocket: `${node} -e '
const socket = new WebSocket("${socketUrl}"${headers});
const say = (input, previous_response_id = null) => socket.send(JSON.stringify(
  { type: "response.create", model: "${model}", input, previous_response_id }));
let turns = 0;
socket.onopen = () => say("My number is 7.");
socket.onmessage = ({ data }) => {
  const { type, response, error } = JSON.parse(data);
  if (!/^(error|response.(completed|incomplete|failed))$/.test(type)) return;
  console.log(response?.output?.[0]?.content?.[0]?.text ?? error ?? response.error);
  turns += 1;
  if (turns < 2 && response) say("Which number was it?", response.id);
  else socket.close();
};'`,
    typescript: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${baseUrl}"${scriptKey} });
const response = await client.responses.create({
  model: "${model}",
  input: "Say hello.",
});
console.log(response.output_text);`,
    python: `from openai import OpenAI

client = OpenAI(base_url="${baseUrl}"${pythonKey})
response = client.responses.create(
    model="${model}",
    input="Say hello.",
)
print(response.output_text)`,
    codex: `# ~/.codex/config.toml
openai_base_url = "${baseUrl}"
model = "${model}"
# Codex wants a key; start it with:
#   CODEX_API_KEY=${needsKey ? '"$OPENAI_API_KEY"' : "none"} codex exec "Say hello."`,
  };
}
