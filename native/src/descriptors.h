// What JavaScript calls on descriptors alone, of sockets that are in no slot yet or never will be: it needs no open
// transport.
#pragma once
#include <node_api.h>

namespace headgate {

void define_descriptors(napi_env env, napi_value exports);

}  // namespace headgate
