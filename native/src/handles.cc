#include "handles.h"

#include "interest.h"

namespace headgate {

void Handles::on_ready(uv_poll_t* poll, int, int) { static_cast<Handles*>(poll->data)->is_ready_ = true; }

void Handles::on_check(uv_check_t* check) {
  auto* handles = static_cast<Handles*>(check->data);
  if (!handles->is_ready_) return;
  const Owner& owner = handles->owner_;
  owner.wait(owner.context, 0);
  handles->is_ready_ = owner.turn(owner.context);
  handles->keep_busy(handles->is_ready_);
}

void Handles::on_prepare(uv_prepare_t* prepare) {
  auto* handles = static_cast<Handles*>(prepare->data);
  // Else libuv would say that nobody may wait.
  handles->keep_busy(false);
  handles->wait();
  handles->keep_busy(true);
}

// Until something other than the sockets wants its turn; those that are ready by now have one before that.
void Handles::wait() {
  uv_loop_t* uv = prepare_.loop;
  int timeout = uv_backend_timeout(uv);
  while (!is_stopped_) {
    const uint32_t ready = owner_.wait(owner_.context, timeout);
    // As libuv does behind its own wait: timers are set and found due by this.
    uv_update_time(uv);
    if ((ready & kSockets) != 0) {
      owner_.turn(owner_.context);
      // What the turn took is no more to be waited for.
      uv_update_time(uv);
    }
    // 0: there is something to be done at once.
    timeout = uv_backend_timeout(uv);
    if ((ready & kOthers) != 0 || timeout == 0) return;
  }
}

// libuv does not wait while the idle handle is active.
void Handles::keep_busy(bool wanted) {
  if (wanted && !is_stopped_) uv_idle_start(&idle_, [](uv_idle_t*) {});
  else uv_idle_stop(&idle_);
}

int Handles::start(uv_loop_t* uv, int set) {
  uv_check_init(uv, &check_);
  adopt(&check_);
  uv_idle_init(uv, &idle_);
  adopt(&idle_);
  const int error = uv_poll_init(uv, &poll_, set);
  if (error != 0) return error;
  adopt(&poll_);
  uv_poll_start(&poll_, UV_READABLE, on_ready);
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
    if (handles_[at]->type == UV_POLL) uv_poll_stop(&poll_);
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
