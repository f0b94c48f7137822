#include "descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "calls.h"
#include "sockets.h"

namespace headgate {

namespace {

// bind(address, port, reusePort, dualStack, backlog): a listening descriptor, or a negative errno. Port -1: the address is the
// path of a unix socket.
napi_value bind(napi_env env, napi_callback_info info) {
  napi_value values[5];
  char address[kPathMax];
  size_t length;
  int32_t port;
  BindOptions options;
  if (!arguments_of(env, info, values) || !read_text(env, values[0], address, sizeof address, &length) ||
      !read_int32(env, values[1], -1, 65535, &port) || !read_boolean(env, values[2], &options.reuse_port) ||
      !read_boolean(env, values[3], &options.dual_stack) || !read_int32(env, values[4], 1, INT32_MAX, &options.backlog))
    return nullptr;
  return integer(env, port < 0 ? listen_unix(address, length, options)
                               : listen_tcp(address, static_cast<uint16_t>(port), options));
}

// shareAddress(descriptor): of a listening socket that `bind` made; 0 or a negative errno.
napi_value share_address(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  if (!is_listening(descriptor)) return integer(env, -EINVAL);
  int one = 1;
  return integer(env, setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 ? 0 : -errno);
}

// nameOf(descriptor): "IP PORT" of our own end; null when it is no socket.
napi_value name_of(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  char text[kAddressTextMax];
  return text_or_null(env, text, own_address(descriptor, text, sizeof text));
}

// originalOfDescriptor(descriptor): the same as originalOf, of any socket of this process.
napi_value original_of_descriptor(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  char text[kAddressTextMax];
  return text_or_null(env, text, original_destination(descriptor, text, sizeof text));
}

// duplicate(descriptor): a second one of the same socket, or a negative errno.
napi_value duplicate(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  return integer(env, copy < 0 ? -errno : copy);
}

// closeDescriptor(descriptor): of a listening socket that `bind` made; 0 or a negative errno.
napi_value close_descriptor(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  // Anything else is not ours to close.
  if (!is_listening(descriptor)) return integer(env, -EINVAL);
  return integer(env, ::close(descriptor) == 0 ? 0 : -errno);
}

}  // namespace

void define_descriptors(napi_env env, napi_value exports) {
  define(env, exports, "bind", bind);
  define(env, exports, "shareAddress", share_address);
  define(env, exports, "nameOf", name_of);
  define(env, exports, "originalOfDescriptor", original_of_descriptor);
  define(env, exports, "duplicate", duplicate);
  define(env, exports, "closeDescriptor", close_descriptor);
}

}  // namespace headgate
