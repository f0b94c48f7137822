#include "handles.h"

#include "interest.h"

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
  handles->owner_.turn(handles->owner_.context, ready);
}

void Handles::on_prepare(uv_prepare_t* prepare) {
  auto* handles = static_cast<Handles*>(prepare->data);
  // While it is active, libuv says that nobody may wait.
  uv_idle_stop(&handles->idle_);
  handles->wait();
  if (!handles->is_stopped_) uv_idle_start(&handles->idle_, [](uv_idle_t*) {});
}

// Until something other than the sockets wants its turn; those that are ready by now have one before that.
void Handles::wait() {
  uv_loop_t* uv = prepare_.loop;
  int timeout = uv_backend_timeout(uv);
  while (!is_stopped_) {
    const uint32_t ready = owner_.wait(owner_.context, timeout);
    // As libuv does behind its own wait: timers are set and found due by this.
    uv_update_time(uv);
    if ((ready & ~kOthers) != 0) {
      owner_.turn(owner_.context, ready);
      // What the turn took is no more to be waited for.
      uv_update_time(uv);
    }
    // 0: there is something to be done at once.
    timeout = uv_backend_timeout(uv);
    if ((ready & kOthers) != 0 || timeout == 0) return;
  }
}

int Handles::start(uv_loop_t* uv, const int (&sets)[2]) {
  uv_check_init(uv, &check_);
  adopt(&check_);
  for (Side side : kSides) {
    uv_poll_t* poll = &polls_[static_cast<size_t>(side)];
    const int error = uv_poll_init(uv, poll, sets[static_cast<size_t>(side)]);
    if (error != 0) return error;
    adopt(poll);
    uv_poll_start(poll, UV_READABLE, side == Side::kAccepted ? on_ready<Side::kAccepted> : on_ready<Side::kDialled>);
  }
  return uv_check_start(&check_, on_check);
}

int Handles::start_waiting(uv_loop_t* uv) {
  uv_prepare_init(uv, &prepare_);
  adopt(&prepare_);
  uv_idle_init(uv, &idle_);
  adopt(&idle_);
  return uv_prepare_start(&prepare_, on_prepare);
}

// What every handle needs once libuv knows it.
template <typename Handle>
void Handles::adopt(Handle* handle) {
  handle->data = this;
  handles_[count_++] = reinterpret_cast<uv_handle_t*>(handle);
  uv_unref(handles_[count_ - 1]);
}

void Handles::hold(bool wanted) {
  if (count_ == 0 || wanted == is_held_) return;
  is_held_ = wanted;
  if (wanted) uv_ref(handles_[0]);
  else uv_unref(handles_[0]);
}

// What is closed has no more calls; a poll must let go of its descriptor before that is closed.
void Handles::stop() {
  is_stopped_ = true;
  for (int at = 0; at < count_; at++) {
    if (handles_[at]->type == UV_POLL) uv_poll_stop(reinterpret_cast<uv_poll_t*>(handles_[at]));
  }
}

void Handles::close() {
  for (int at = count_ - 1; at >= 0; at--) {
    uv_close(handles_[at], [](uv_handle_t* closing) {
      auto* handles = static_cast<Handles*>(closing->data);
      if (--handles->count_ == 0) handles->owner_.closed(handles->owner_.context);
    });
  }
}

}  // namespace headgate
