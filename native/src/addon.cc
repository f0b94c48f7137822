// The Node-API surface: what JavaScript calls, with every argument checked, and the one call back into it. One instance per
// thread (instance data, no globals). Arguments of a wrong type are a TypeError or RangeError; what the system refuses is a
// negative errno.
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "loop.h"

namespace {

using headgate::BindOptions;
using headgate::Loop;

constexpr size_t kPathMax = 256;
// "IP PORT", the address at most 45 characters.
constexpr size_t kAddressTextMax = 64;
// What TCP_KEEPIDLE takes.
constexpr int32_t kKeepAliveSecondsMax = 32767;
constexpr double kSafeIntegerMax = 9007199254740991.0;

// A loop and what JavaScript holds of its memory: freed when the last of them lets go.
struct Shared {
  Loop loop;
  int32_t holders = 1;
  explicit Shared(Loop::Deliver deliver, void* context) : loop(deliver, context) {}
  void release() {
    if (--holders == 0) delete this;
  }
};

struct Instance {
  napi_env env = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  napi_ref on_events = nullptr;
  Shared* shared = nullptr;
  // Of both sets of sockets, which libuv waits for, and the turn behind that: one, though both may be ready.
  uv_poll_t polls[2];
  uv_check_t check;
  // Handles of libuv that are not closed.
  int handles = 0;
  // Sets of which some socket is ready, as bits.
  uint32_t ready = 0;
  bool referenced = false;
};

Instance* instance_of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Instance*>(data);
}

// ------------------------------------------------------------------------------------------------------------- arguments

bool throw_type(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool throw_range(napi_env env, const char* message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

template <size_t N>
bool arguments_of(napi_env env, napi_callback_info info, napi_value (&values)[N]) {
  size_t count = N;
  if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok) return false;
  return count >= N || throw_type(env, "too few arguments");
}

// An integer in [min, max].
bool read_integer(napi_env env, napi_value value, double min, double max, int64_t* result) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return throw_type(env, "a number was expected");
  if (!(number >= min && number <= max) || number != std::floor(number))
    return throw_range(env, "a number is out of range");
  *result = static_cast<int64_t>(number);
  return true;
}

bool read_int32(napi_env env, napi_value value, int32_t min, int32_t max, int32_t* result) {
  int64_t wide;
  if (!read_integer(env, value, min, max, &wide)) return false;
  *result = static_cast<int32_t>(wide);
  return true;
}

bool read_boolean(napi_env env, napi_value value, bool* result) {
  return napi_get_value_bool(env, value, result) == napi_ok || throw_type(env, "a boolean was expected");
}

bool read_text(napi_env env, napi_value value, char* text, size_t bytes, size_t* length) {
  size_t needed = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &needed) != napi_ok)
    return throw_type(env, "a string was expected");
  if (needed >= bytes) return throw_range(env, "a string is too long");
  napi_get_value_string_utf8(env, value, text, bytes, length);
  return memchr(text, 0, *length) == nullptr || throw_range(env, "a string contains NUL");
}

napi_value integer(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

Instance* open_instance(napi_env env) {
  Instance* instance = instance_of(env);
  if (instance != nullptr && instance->shared != nullptr) return instance;
  napi_throw_error(env, "ERR_NOT_OPEN", "the transport is not open");
  return nullptr;
}

// -------------------------------------------------------------------------------------------------------------- the loop

// The process stays alive while there is a socket.
void update_reference(Instance* instance) {
  if (instance->handles == 0) return;
  const bool wanted = instance->shared->loop.size() > 0;
  if (wanted == instance->referenced) return;
  instance->referenced = wanted;
  auto* handle = reinterpret_cast<uv_handle_t*>(&instance->check);
  if (wanted) uv_ref(handle);
  else uv_unref(handle);
}

template <headgate::Side side>
void on_ready(uv_poll_t* poll, int, int) {
  static_cast<Instance*>(poll->data)->ready |= headgate::bit_of(side);
}

void on_check(uv_check_t* check) {
  auto* instance = static_cast<Instance*>(check->data);
  const uint32_t ready = instance->ready;
  if (ready == 0 || instance->shared == nullptr) return;
  instance->ready = 0;
  instance->shared->loop.turn(ready);
  update_reference(instance);
}

// What every handle needs once libuv knows it. Sockets keep the process alive, not the handles.
void adopt(Instance* instance, uv_handle_t* handle) {
  handle->data = instance;
  uv_unref(handle);
  instance->handles++;
}

uv_handle_t* handle_at(Instance* instance, int at) {
  return at == 0 ? reinterpret_cast<uv_handle_t*>(&instance->check) : reinterpret_cast<uv_handle_t*>(&instance->polls[at - 1]);
}

// 0, or a negative errno: then some of the handles are there all the same, and are closed with the thread.
int start_handles(Instance* instance, uv_loop_t* uv, const Loop& loop) {
  uv_check_init(uv, &instance->check);
  adopt(instance, handle_at(instance, 0));
  for (headgate::Side side : headgate::kSides) {
    uv_poll_t* poll = &instance->polls[instance->handles - 1];
    const int error = uv_poll_init(uv, poll, loop.epoll(side));
    if (error != 0) return error;
    adopt(instance, reinterpret_cast<uv_handle_t*>(poll));
    const uv_poll_cb told = side == headgate::Side::kAccepted ? on_ready<headgate::Side::kAccepted> : on_ready<headgate::Side::kDialled>;
    uv_poll_start(poll, UV_READABLE, told);
  }
  return uv_check_start(&instance->check, on_check);
}

// The call into JavaScript. Microtasks and next ticks run before it returns.
void deliver(void* context, int32_t events) {
  auto* instance = static_cast<Instance*>(context);
  napi_env env = instance->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback;
  napi_value receiver;
  napi_value argument;
  napi_value result;
  napi_get_reference_value(env, instance->on_events, &callback);
  napi_get_global(env, &receiver);
  napi_create_int32(env, events, &argument);
  if (napi_make_callback(env, nullptr, receiver, callback, 1, &argument, &result) == napi_pending_exception) {
    napi_value exception;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

void stop_polls(Instance* instance) {
  for (int at = 1; at < instance->handles; at++) uv_poll_stop(&instance->polls[at - 1]);
}

void stop(Instance* instance) {
  Shared* shared = instance->shared;
  if (shared == nullptr) return;
  stop_polls(instance);
  shared->loop.close_all();
}

// The thread ends: sockets are closed, JavaScript is not called any more.
void clean_up(napi_async_cleanup_hook_handle handle, void* data) {
  auto* instance = static_cast<Instance*>(data);
  stop(instance);
  if (instance->handles == 0) {
    napi_remove_async_cleanup_hook(handle);
    return;
  }
  for (int at = instance->handles - 1; at >= 0; at--) {
    uv_close(handle_at(instance, at), [](uv_handle_t* closing) {
      auto* closed = static_cast<Instance*>(closing->data);
      if (--closed->handles == 0) napi_remove_async_cleanup_hook(closed->cleanup);
    });
  }
}

void free_instance(napi_env, void* data, void*) {
  auto* instance = static_cast<Instance*>(data);
  if (instance->shared != nullptr) instance->shared->release();
  delete instance;
}

bool expose(napi_env env, napi_value memory, Shared* shared, const char* name, void* data, size_t bytes) {
  napi_value buffer;
  const auto release = [](napi_env, void*, void* hint) { static_cast<Shared*>(hint)->release(); };
  if (napi_create_external_arraybuffer(env, data, bytes, release, shared, &buffer) != napi_ok) return false;
  shared->holders++;
  return napi_set_named_property(env, memory, name, buffer) == napi_ok;
}

// open(onEvents: (count) => void): the memory that both sides use, as ArrayBuffers.
napi_value open(napi_env env, napi_callback_info info) {
  napi_value values[1];
  if (!arguments_of(env, info, values)) return nullptr;
  Instance* instance = instance_of(env);
  napi_valuetype type;
  napi_typeof(env, values[0], &type);
  if (type != napi_function) return throw_type(env, "a function was expected"), nullptr;
  if (instance->shared != nullptr) return napi_throw_error(env, "ERR_OPEN", "the transport is open already"), nullptr;
  auto* shared = new Shared(deliver, instance);
  // Handles are left of an attempt that failed: there is no other one.
  int error = instance->handles > 0 ? -EALREADY : shared->loop.open();
  uv_loop_t* uv = nullptr;
  if (error == 0 && napi_get_uv_event_loop(env, &uv) != napi_ok) error = -EINVAL;
  if (error == 0) error = start_handles(instance, uv, shared->loop);
  if (error != 0) {
    stop_polls(instance);
    shared->release();
    return napi_throw_error(env, "ERR_SYSTEM", strerror(-error)), nullptr;
  }
  instance->shared = shared;
  napi_create_reference(env, values[0], 1, &instance->on_events);
  napi_value memory;
  napi_create_object(env, &memory);
  Loop& loop = shared->loop;
  const size_t table = size_t{headgate::kSlotsMax} * sizeof(double);
  const size_t ints = sizeof(int32_t);
  if (!expose(env, memory, shared, "receive", loop.receive(), headgate::kReceiveBytes) ||
      !expose(env, memory, shared, "send", loop.send(), headgate::kSendBytes) ||
      !expose(env, memory, shared, "events", loop.events(), ints * headgate::kEventsMax * headgate::kEventInts) ||
      !expose(env, memory, shared, "commands", loop.commands(), ints * headgate::kCommandsMax * headgate::kCommandInts) ||
      !expose(env, memory, shared, "queued", loop.queued(), table) ||
      !expose(env, memory, shared, "received", loop.received(), table) ||
      !expose(env, memory, shared, "sent", loop.sent(), table)) {
    return napi_throw_error(env, "ERR_MEMORY", "this runtime does not allow memory to be shared"), nullptr;
  }
  return memory;
}

// submit(count, collect)
napi_value submit(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t count;
  bool collect;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, headgate::kCommandsMax, &count) ||
      !read_boolean(env, values[1], &collect))
    return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  int32_t events = instance->shared->loop.submit(count, collect);
  update_reference(instance);
  return integer(env, events);
}

// listen(descriptor, owned, keepAliveSeconds)
napi_value listen(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t descriptor;
  bool owned;
  int32_t keep_alive;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor) ||
      !read_boolean(env, values[1], &owned) || !read_int32(env, values[2], 0, kKeepAliveSecondsMax, &keep_alive))
    return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  int32_t slot = instance->shared->loop.listen(descriptor, owned, keep_alive);
  update_reference(instance);
  return integer(env, slot);
}

template <int32_t (Loop::*Act)(int32_t)>
napi_value on_slot(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t slot;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, headgate::kSlotsMax - 1, &slot)) return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  int32_t result = (instance->shared->loop.*Act)(slot);
  update_reference(instance);
  return integer(env, result);
}

// connect(address, port, keepAliveSeconds); port 0: the address is the path of a unix socket.
napi_value connect(napi_env env, napi_callback_info info) {
  napi_value values[3];
  char address[kPathMax];
  size_t length;
  int32_t port;
  int32_t keep_alive;
  if (!arguments_of(env, info, values) || !read_text(env, values[0], address, sizeof address, &length) ||
      !read_int32(env, values[1], 0, 65535, &port) ||
      !read_int32(env, values[2], 0, kKeepAliveSecondsMax, &keep_alive))
    return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  int fd = port == 0 ? headgate::connect_unix(address, length)
                     : headgate::connect_tcp(address, static_cast<uint16_t>(port));
  int32_t slot = fd < 0 ? fd : instance->shared->loop.connect(fd, keep_alive);
  update_reference(instance);
  return integer(env, slot);
}

// sendFile(slot, descriptor, id, offset, length)
napi_value send_file(napi_env env, napi_callback_info info) {
  napi_value values[5];
  int32_t slot;
  int32_t descriptor;
  int32_t id;
  int64_t offset;
  int64_t length;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, headgate::kSlotsMax - 1, &slot) ||
      !read_int32(env, values[1], 0, INT32_MAX, &descriptor) || !read_int32(env, values[2], 0, INT32_MAX, &id) ||
      !read_integer(env, values[3], 0, kSafeIntegerMax, &offset) ||
      !read_integer(env, values[4], 1, kSafeIntegerMax, &length))
    return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  return integer(env, instance->shared->loop.send_file(slot, descriptor, id, offset, length));
}

// splice(from, to, bytes); Infinity: until the end.
napi_value splice(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t from;
  int32_t to;
  double bytes;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, headgate::kSlotsMax - 1, &from) ||
      !read_int32(env, values[1], 0, headgate::kSlotsMax - 1, &to))
    return nullptr;
  if (napi_get_value_double(env, values[2], &bytes) != napi_ok) return throw_type(env, "a number was expected"), nullptr;
  if (!(bytes >= 1)) return throw_range(env, "a number is out of range"), nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  const int64_t limit = bytes > kSafeIntegerMax ? INT64_MAX : static_cast<int64_t>(bytes);
  return integer(env, instance->shared->loop.splice(from, to, limit));
}

napi_value text_or_null(napi_env env, const char* text, size_t length) {
  napi_value result = nullptr;
  if (length == 0) napi_get_null(env, &result);
  else napi_create_string_latin1(env, text, length, &result);
  return result;
}

// originalOf(slot): "IP PORT" where a redirected connection had meant to go; null when nobody redirected it, or it is not open.
napi_value original_of(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t slot;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, headgate::kSlotsMax - 1, &slot)) return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  char text[kAddressTextMax];
  const int fd = instance->shared->loop.descriptor_of(slot);
  return text_or_null(env, text, fd < 0 ? 0 : headgate::original_destination(fd, text, sizeof text));
}

// inspect(): {sockets, pipes}, for tests that count what is left.
napi_value inspect(napi_env env, napi_callback_info) {
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  napi_value result;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "sockets", integer(env, instance->shared->loop.size()));
  napi_set_named_property(env, result, "pipes", integer(env, instance->shared->loop.pipes()));
  return result;
}

// ----------------------------------------------------------------------- sockets of nobody's, which need no open transport

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
  return integer(env, port < 0 ? headgate::listen_unix(address, length, options)
                               : headgate::listen_tcp(address, static_cast<uint16_t>(port), options));
}

// nameOf(descriptor): "IP PORT" of our own end; null when it is no socket.
napi_value name_of(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  sockaddr_storage address;
  memset(&address, 0, sizeof address);
  socklen_t length = sizeof address;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) != 0) return text_or_null(env, nullptr, 0);
  char text[kAddressTextMax];
  return text_or_null(env, text, headgate::format_address(address, text, sizeof text));
}

// originalOfDescriptor(descriptor): the same as originalOf, of any socket of this process.
napi_value original_of_descriptor(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t descriptor;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, INT32_MAX, &descriptor)) return nullptr;
  char text[kAddressTextMax];
  return text_or_null(env, text, headgate::original_destination(descriptor, text, sizeof text));
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
  if (!headgate::is_listening(descriptor)) return integer(env, -EINVAL);
  return integer(env, ::close(descriptor) == 0 ? 0 : -errno);
}

bool define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace

NAPI_MODULE_INIT() {
  // The layout of uv_poll_t, which is ours to allocate, holds within a major version.
  if (uv_version() >> 16 != UV_VERSION_MAJOR)
    return napi_throw_error(env, "ERR_UV_VERSION", "it was built for another major version of libuv"), nullptr;
  auto* instance = new Instance;
  instance->env = env;
  if (napi_set_instance_data(env, instance, free_instance, nullptr) != napi_ok) {
    delete instance;
    return nullptr;
  }
  napi_add_async_cleanup_hook(env, clean_up, instance, &instance->cleanup);
  napi_set_named_property(env, exports, "wireVersion", integer(env, headgate::kWireVersion));
  define(env, exports, "open", open);
  define(env, exports, "submit", submit);
  define(env, exports, "listen", listen);
  define(env, exports, "closeListener", on_slot<&Loop::close_listener>);
  define(env, exports, "resumeListener", on_slot<&Loop::resume_listener>);
  define(env, exports, "connect", connect);
  define(env, exports, "sendFile", send_file);
  define(env, exports, "splice", splice);
  define(env, exports, "release", on_slot<&Loop::release>);
  define(env, exports, "originalOf", original_of);
  define(env, exports, "inspect", inspect);
  define(env, exports, "bind", bind);
  define(env, exports, "nameOf", name_of);
  define(env, exports, "originalOfDescriptor", original_of_descriptor);
  define(env, exports, "duplicate", duplicate);
  define(env, exports, "closeDescriptor", close_descriptor);
  return exports;
}
