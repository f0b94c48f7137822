// The Node-API surface: what JavaScript calls on its loop, with every argument checked, and the one call back into it.
// One instance per thread (instance data, no globals). Arguments of a wrong type are a TypeError or RangeError; what
// the system refuses is a negative errno.
#include <node_api.h>
#include <uv.h>

#include <cerrno>
#include <cstring>

#include "calls.h"
#include "descriptors.h"
#include "handles.h"
#include "loop.h"
#include "sockets.h"

namespace headgate {

namespace {

// What TCP_KEEPIDLE takes.
constexpr int32_t kKeepAliveSecondsMax = 32767;

// A loop and what JavaScript holds of its memory: freed when the last of them lets go.
struct Shared {
  Loop loop;
  int32_t holders = 1;
  explicit Shared(Loop::Deliver deliver, void* context) : loop(deliver, context) {}
  void release() {
    if (--holders == 0) delete this;
  }
};

uint32_t on_wait(void* context, int timeout);
bool on_turn(void* context);
void on_handles_closed(void* context);

struct Instance {
  napi_env env = nullptr;
  napi_async_cleanup_hook_handle cleanup = nullptr;
  napi_ref on_events = nullptr;
  Shared* shared = nullptr;
  Handles handles{{this, on_wait, on_turn, on_handles_closed}};
};

Instance* instance_of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Instance*>(data);
}

Instance* open_instance(napi_env env) {
  Instance* instance = instance_of(env);
  if (instance != nullptr && instance->shared != nullptr) return instance;
  napi_throw_error(env, "ERR_NOT_OPEN", "the transport is not open");
  return nullptr;
}

// -------------------------------------------------------------------------------------------------------------- the loop

// The process stays alive while there is a socket.
void update_reference(Instance* instance) { instance->handles.hold(instance->shared->loop.size() > 0); }

uint32_t on_wait(void* context, int timeout) {
  auto* instance = static_cast<Instance*>(context);
  return instance->shared == nullptr ? kOthers : instance->shared->loop.wait(timeout);
}

bool on_turn(void* context) {
  auto* instance = static_cast<Instance*>(context);
  if (instance->shared == nullptr) return false;
  const bool any_left = instance->shared->loop.turn();
  update_reference(instance);
  return any_left;
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

void on_handles_closed(void* context) { napi_remove_async_cleanup_hook(static_cast<Instance*>(context)->cleanup); }

// The thread ends: sockets are closed, JavaScript is not called any more.
void clean_up(napi_async_cleanup_hook_handle handle, void* data) {
  auto* instance = static_cast<Instance*>(data);
  if (instance->shared != nullptr) {
    instance->handles.stop();
    instance->shared->loop.close_all();
  }
  if (instance->handles.any()) instance->handles.close();
  else napi_remove_async_cleanup_hook(handle);
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

// open(onEvents: (count) => void, descriptorsKept, descriptorsBesideClients, ownsThread): the memory that both sides use, as ArrayBuffers.
napi_value open(napi_env env, napi_callback_info info) {
  napi_value values[4];
  int32_t descriptors_kept;
  int32_t beside_clients;
  bool owns_thread;
  if (!arguments_of(env, info, values) || !read_int32(env, values[1], 0, INT32_MAX, &descriptors_kept) ||
      !read_int32(env, values[2], 0, INT32_MAX, &beside_clients) || !read_boolean(env, values[3], &owns_thread))
    return nullptr;
  Instance* instance = instance_of(env);
  napi_valuetype type;
  napi_typeof(env, values[0], &type);
  if (type != napi_function) return throw_type(env, "a function was expected"), nullptr;
  if (instance->shared != nullptr) return napi_throw_error(env, "ERR_OPEN", "the transport is open already"), nullptr;
  auto* shared = new Shared(deliver, instance);
  // Handles are left of an attempt that failed: there is no other one.
  int error = instance->handles.any() ? -EALREADY : 0;
  uv_loop_t* uv = nullptr;
  if (error == 0 && napi_get_uv_event_loop(env, &uv) != napi_ok) error = -EINVAL;
  if (error == 0) error = shared->loop.open(descriptors_kept, beside_clients, owns_thread ? uv_backend_fd(uv) : -1);
  if (error == 0) {
    const Loop& loop = shared->loop;
    Handles& handles = instance->handles;
    error = owns_thread ? handles.start_waiting(uv) : handles.start(uv, loop.set());
  }
  if (error != 0) {
    instance->handles.stop();
    shared->release();
    return napi_throw_error(env, "ERR_SYSTEM", strerror(-error)), nullptr;
  }
  instance->shared = shared;
  napi_create_reference(env, values[0], 1, &instance->on_events);
  napi_value memory;
  napi_create_object(env, &memory);
  Loop& loop = shared->loop;
  const size_t table = size_t{kSlotsMax} * sizeof(double);
  const size_t ints = sizeof(int32_t);
  if (!expose(env, memory, shared, "receive", loop.receive(), kReceiveBytes) ||
      !expose(env, memory, shared, "send", loop.send(), kSendBytes) ||
      !expose(env, memory, shared, "events", loop.events(), ints * kEventsMax * kEventInts) ||
      !expose(env, memory, shared, "commands", loop.commands(), ints * kCommandsMax * kCommandInts) ||
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
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, kCommandsMax, &count) ||
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
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, kSlotsMax - 1, &slot)) return nullptr;
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
  Loop& loop = instance->shared->loop;
  int fd = port == 0 ? connect_unix(address, length, loop.limit())
                     : connect_tcp(address, static_cast<uint16_t>(port), loop.limit());
  int32_t slot = fd < 0 ? fd : loop.connect(fd, keep_alive);
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
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, kSlotsMax - 1, &slot) ||
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
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, kSlotsMax - 1, &from) ||
      !read_int32(env, values[1], 0, kSlotsMax - 1, &to))
    return nullptr;
  if (napi_get_value_double(env, values[2], &bytes) != napi_ok) return throw_type(env, "a number was expected"), nullptr;
  if (!(bytes >= 1)) return throw_range(env, "a number is out of range"), nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  const int64_t limit = bytes > kSafeIntegerMax ? INT64_MAX : static_cast<int64_t>(bytes);
  return integer(env, instance->shared->loop.splice(from, to, limit));
}

// originalOf(slot): "IP PORT" where a redirected connection had meant to go; null when nobody redirected it, or it is not open.
napi_value original_of(napi_env env, napi_callback_info info) {
  napi_value values[1];
  int32_t slot;
  if (!arguments_of(env, info, values) || !read_int32(env, values[0], 0, kSlotsMax - 1, &slot)) return nullptr;
  Instance* instance = open_instance(env);
  if (instance == nullptr) return nullptr;
  char text[kAddressTextMax];
  const int fd = instance->shared->loop.descriptor_of(slot);
  return text_or_null(env, text, fd < 0 ? 0 : original_destination(fd, text, sizeof text));
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

napi_value define_addon(napi_env env, napi_value exports) {
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
  napi_set_named_property(env, exports, "wireVersion", integer(env, kWireVersion));
  define(env, exports, "open", open);
  define(env, exports, "submit", submit);
  define(env, exports, "listen", listen);
  define(env, exports, "closeListener", on_slot<&Loop::close_listener>);
  define(env, exports, "resumeListener", on_slot<&Loop::resume_listener>);
  define(env, exports, "hasWaiting", on_slot<&Loop::has_waiting>);
  define(env, exports, "connect", connect);
  define(env, exports, "sendFile", send_file);
  define(env, exports, "splice", splice);
  define(env, exports, "release", on_slot<&Loop::release>);
  define(env, exports, "originalOf", original_of);
  define(env, exports, "inspect", inspect);
  define_descriptors(env, exports);
  return exports;
}

}  // namespace

}  // namespace headgate

NAPI_MODULE_INIT() { return headgate::define_addon(env, exports); }
