// The handles of libuv through which a thread learns that its sockets are ready: a poll for each epoll set, and one
// check behind them, so that both sets have one turn though both may be ready.
//
// The handles themselves keep no process alive: `hold` says whether the sockets do. libuv knows them until it has said
// that they are closed, and this object must live as long.
#pragma once
#include <uv.h>
#include <cstdint>

#include "slots.h"

namespace headgate {

class Handles {
 public:
  // `sides`: of these sets, as bits, some socket is ready.
  using Turn = void (*)(void* context, uint32_t sides);
  using Closed = void (*)(void* context);

  Handles(Turn turn, Closed closed, void* context) : turn_(turn), closed_(closed), context_(context) {}
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  // 0, or a negative errno: then some of the handles are there all the same, and are to be closed; it is not tried
  // again.
  int start(uv_loop_t* uv, const int (&sets)[2]);
  // libuv knows some of them.
  bool any() const { return count_ > 0; }
  // Whether the process stays alive.
  void hold(bool wanted);
  // No more turns. Before the sets are closed.
  void stop();
  // `closed` is called when libuv has let go of the last one. There must be any.
  void close();

 private:
  template <Side side>
  static void on_ready(uv_poll_t* poll, int, int);
  static void on_check(uv_check_t* check);
  void adopt(uv_handle_t* handle);
  uv_handle_t* handle_at(int at);

  Turn turn_;
  Closed closed_;
  void* context_;
  uv_check_t check_;
  uv_poll_t polls_[2];
  // The check and then the polls: so many of them are not closed.
  int count_ = 0;
  // Sets of which some socket is ready, as bits.
  uint32_t ready_ = 0;
  bool is_held_ = false;
};

}  // namespace headgate
