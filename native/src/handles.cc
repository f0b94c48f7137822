#include "handles.h"

namespace headgate {

template <Side side>
void Handles::on_ready(uv_poll_t* poll, int, int) {
  static_cast<Handles*>(poll->data)->ready_ |= bit_of(side);
}

void Handles::on_check(uv_check_t* check) {
  auto* handles = static_cast<Handles*>(check->data);
  const uint32_t ready = handles->ready_;
  if (ready == 0) return;
  handles->ready_ = 0;
  handles->turn_(handles->context_, ready);
}

int Handles::start(uv_loop_t* uv, const int (&sets)[2]) {
  uv_check_init(uv, &check_);
  adopt(handle_at(0));
  for (Side side : kSides) {
    const auto at = static_cast<size_t>(side);
    const int error = uv_poll_init(uv, &polls_[at], sets[at]);
    if (error != 0) return error;
    adopt(handle_at(count_));
    uv_poll_start(&polls_[at], UV_READABLE, side == Side::kAccepted ? on_ready<Side::kAccepted> : on_ready<Side::kDialled>);
  }
  return uv_check_start(&check_, on_check);
}

// What every handle needs once libuv knows it.
void Handles::adopt(uv_handle_t* handle) {
  handle->data = this;
  uv_unref(handle);
  count_++;
}

uv_handle_t* Handles::handle_at(int at) {
  return at == 0 ? reinterpret_cast<uv_handle_t*>(&check_) : reinterpret_cast<uv_handle_t*>(&polls_[at - 1]);
}

void Handles::hold(bool wanted) {
  if (count_ == 0 || wanted == is_held_) return;
  is_held_ = wanted;
  if (wanted) uv_ref(handle_at(0));
  else uv_unref(handle_at(0));
}

void Handles::stop() {
  for (int at = 1; at < count_; at++) uv_poll_stop(&polls_[at - 1]);
}

void Handles::close() {
  for (int at = count_ - 1; at >= 0; at--) {
    uv_close(handle_at(at), [](uv_handle_t* closing) {
      auto* handles = static_cast<Handles*>(closing->data);
      if (--handles->count_ == 0) handles->closed_(handles->context_);
    });
  }
}

}  // namespace headgate
