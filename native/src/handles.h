// The handles of libuv through which a thread learns that its sockets are ready, and who waits for that.
//
// In a thread that is somebody else's, libuv does: a poll for the epoll set, and a check behind all polls, in which those that are
// ready have their turn. In a thread of our own these handles wait themselves, for the sockets and for libuv's own
// descriptor, and give libuv its turn when that is ready, a timer is due, or anything else is to be done (uv_backend_fd and
// uv_backend_timeout are there for this). A turn then costs two or three calls of the kernel less, and nothing of libuv's; but
// whoever asks how long the thread was idle is told: never (a CPU profile calls that time "(program)"), an unref'd immediate
// runs when libuv has its next turn for another reason, and a loop that is driven from elsewhere would stand still.
//
// The handles themselves keep no process alive: `hold` says whether the sockets do. libuv knows them until it has said
// that they are closed, and this object must live as long.
#pragma once
#include <uv.h>
#include <cstdint>

namespace headgate {

class Handles {
 public:
  // Of somebody who has sockets.
  struct Owner {
    void* context;
    // As `Interest::wait`.
    uint32_t (*wait)(void* context, int timeout);
    // Those that were found ready have a turn. Whether more are left.
    bool (*turn)(void* context);
    void (*closed)(void* context);
  };

  explicit Handles(const Owner& owner) : owner_(owner) {}
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  // libuv waits. 0, or a negative errno: then some of the handles are there all the same, and are to be closed; it is not tried
  // again.
  int start(uv_loop_t* uv, int set);
  // The same, and libuv never waits.
  int start_waiting(uv_loop_t* uv);
  // libuv knows some of them.
  bool any() const { return count_ > 0; }
  // Whether the process stays alive.
  void hold(bool wanted);
  // No more turns. Before the set is closed.
  void stop();
  // `closed` is called when libuv has let go of the last one. There must be any.
  void close();

 private:
  static void on_ready(uv_poll_t* poll, int, int);
  static void on_check(uv_check_t* check);
  static void on_prepare(uv_prepare_t* prepare);
  void wait();
  void keep_busy(bool wanted);
  template <typename Handle>
  void adopt(Handle* handle);

  Owner owner_;
  // Where libuv waits.
  uv_check_t check_;
  uv_poll_t poll_;
  // Where it does not.
  uv_prepare_t prepare_;
  // Active while libuv is not to wait: because sockets are left that are ready, or because others have waited already.
  uv_idle_t idle_;
  // Those that libuv knows.
  uv_handle_t* handles_[3];
  int count_ = 0;
  // Some socket is ready.
  bool is_ready_ = false;
  bool is_held_ = false;
  bool is_stopped_ = false;
};

}  // namespace headgate
