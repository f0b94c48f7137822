#include "calls.h"

#include <cmath>
#include <cstring>

namespace headgate {

bool throw_type(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

bool throw_range(napi_env env, const char* message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

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

napi_value text_or_null(napi_env env, const char* text, size_t length) {
  napi_value result = nullptr;
  if (length == 0) napi_get_null(env, &result);
  else napi_create_string_latin1(env, text, length, &result);
  return result;
}

bool define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace headgate
