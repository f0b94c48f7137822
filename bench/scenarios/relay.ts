/** A gateway that adds nothing of its own yet. */
import { requestCost } from "./request-cost.ts";

/** A call of JMAP (RFC 8620): a request with a body of 600 bytes, answered by 2 KiB. */
const script = `wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Email/get",{"ids":["' .. string.rep("M", 514) .. '"]},"c0"]]}'
`;

export const relay = requestCost({
  name: "relay",
  title: "an API's calls relayed as they are: POST of 600 bytes, answer of 2 KiB, 8 users",
  about: "What a gateway does before it adds anything of its own. Eight connections, each waiting for its answer.",
  path: "/jmap",
  script,
  connections: 8,
});
