// What every function that JavaScript calls needs: its arguments, checked one by one, and its result. Whatever reads an
// argument either gives it or throws into JavaScript and says false; what it was called for must then not happen.
#pragma once
#include <node_api.h>
#include <cstddef>
#include <cstdint>

namespace headgate {

constexpr double kSafeIntegerMax = 9007199254740991.0;

// A TypeError and a RangeError; false.
bool throw_type(napi_env env, const char* message);
bool throw_range(napi_env env, const char* message);

// As many as there is room for, and no fewer.
template <size_t N>
bool arguments_of(napi_env env, napi_callback_info info, napi_value (&values)[N]) {
  size_t count = N;
  if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok) return false;
  return count >= N || throw_type(env, "too few arguments");
}

// An integer in [min, max].
bool read_integer(napi_env env, napi_value value, double min, double max, int64_t* result);
bool read_int32(napi_env env, napi_value value, int32_t min, int32_t max, int32_t* result);
bool read_boolean(napi_env env, napi_value value, bool* result);
// Text without NUL that fits with its own.
bool read_text(napi_env env, napi_value value, char* text, size_t bytes, size_t* length);

napi_value integer(napi_env env, int32_t value);
// Null when it is empty.
napi_value text_or_null(napi_env env, const char* text, size_t length);

// One more property of what the addon exports.
bool define(napi_env env, napi_value exports, const char* name, napi_callback callback);

}  // namespace headgate
