// Bytes that go from one connection to another without being seen: through a pipe in the kernel, or what is short, and where it
// cannot, or no pipe is to be had, through memory here. In both ways no more is taken in before the target has been given all
// of what was.
#include "connections.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "system_calls.h"

namespace headgate {

namespace {

constexpr size_t kCopyBytes = 64 * 1024;
// What is shorter is copied: two copies cost less than the calls that a pipe takes.
constexpr size_t kShortBytes = 8 * 1024;

}  // namespace

int Connections::splice(int32_t from, int32_t to, int64_t bytes) {
  Slot& source = slots_[from];
  Slot& target = slots_[to];
  if (source.outgoing != nullptr || target.incoming != nullptr || source.read_ended || target.finish_wanted) return -EBUSY;
  auto* splice = new Splice{from, to, bytes, Pipe{}, 0, false, false};
  source.outgoing = splice;
  target.incoming = splice;
  slots_.received()[from] = slots_.sent()[from] = 0;
  interest_.ask_again(from);
  interest_.touch(to);
  return 0;
}

void Connections::step(Splice* splice, int64_t budget, bool is_all) {
  const int32_t from = splice->from;
  const int32_t to = splice->to;
  interest_.touch(from);
  interest_.touch(to);
  for (;;) {
    if (slots_[to].error != 0 || (splice->in_pipe > 0 && !push_out(splice))) return;
    if (splice->left == 0) {
      if (!slots_[to].queue.empty()) return;
      forget(splice);
      // What follows may be there already.
      interest_.ask_again(from);
      events_.emit(kSpliced, from, 0, 0);
      return after_flush(to);
    }
    if (budget <= 0) return read_on(from);
    if (slots_[from].paused || !slots_[to].queue.empty()) return;
    const bool copies = splice->copies || splice->is_short;
    const size_t at_most = splice->copies ? kCopyBytes : kShortBytes;
    const int64_t before = budget;
    if (!(copies ? copy_in(splice, &budget, at_most) : take_in(splice, &budget))) return;
    splice->is_short = before - budget < static_cast<int64_t>(kShortBytes);
    // A read that could have had more has had all.
    if (copies && splice->is_short && is_all && splice->left > 0 && slots_[from].error == 0) return;
  }
}

// True when the pipe is empty; otherwise the splice waits, or exists no more.
bool Connections::push_out(Splice* splice) {
  Slot& target = slots_[splice->to];
  while (splice->in_pipe > 0) {
    ssize_t length = ::splice(splice->pipe.read_end, nullptr, target.fd, nullptr, static_cast<size_t>(splice->in_pipe),
                            SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (length <= 0) {
      if (length < 0 && errno == EINTR) continue;
      if (length < 0 && errno == EAGAIN) return false;
      write_failed(splice->to, length == 0 ? EPIPE : errno);
      return false;
    }
    splice->in_pipe -= length;
    slots_.sent()[splice->from] += static_cast<double>(length);
    slots_.queued()[splice->to] -= static_cast<double>(length);
  }
  pipes_.give_back(splice->pipe);
  splice->pipe = Pipe{};
  return true;
}

// False when nothing more can be had now.
bool Connections::take_in(Splice* splice, int64_t* budget) {
  if (!pipes_.take(&splice->pipe)) return copy_in(splice, budget, kCopyBytes);
  const int64_t wanted = std::min<int64_t>(splice->left, kPipeBytes);
  ssize_t length = ::splice(slots_[splice->from].fd, nullptr, splice->pipe.write_end, nullptr, static_cast<size_t>(wanted),
                            SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  int error = errno;
  if (length <= 0) {
    pipes_.give_back(splice->pipe);
    splice->pipe = Pipe{};
    // To splice(2) an urgent mark (RFC 6093) looks like an end, or like nothing: recv tells them apart, and reads past it.
    if (length == 0 || (error == EAGAIN && slots_[splice->from].urgent)) return copy_in(splice, budget, kCopyBytes);
    if (error == EINVAL) {
      splice->copies = true;
      return true;
    }
    read_failed(splice->from, error);
    return false;
  }
  splice->in_pipe = length;
  splice->left -= length;
  *budget -= length;
  slots_.received()[splice->from] += static_cast<double>(length);
  slots_.queued()[splice->to] += static_cast<double>(length);
  return true;
}

bool Connections::copy_in(Splice* splice, int64_t* budget, size_t at_most) {
  char bytes[kCopyBytes];
  const size_t wanted = static_cast<size_t>(std::min<int64_t>(splice->left, at_most));
  ssize_t length = receive_now(slots_[splice->from].fd, bytes, wanted);
  if (length == 0) {
    source_ended(splice);
    return false;
  }
  if (length < 0) {
    read_failed(splice->from, errno);
    return false;
  }
  splice->left -= length;
  *budget -= length;
  slots_.received()[splice->from] += static_cast<double>(length);
  const int32_t to = splice->to;
  ssize_t taken = send_now(slots_[to].fd, bytes, static_cast<size_t>(length), MSG_NOSIGNAL);
  if (taken < 0) {
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
      write_failed(to, errno);
      return false;
    }
    if (errno != EAGAIN) interest_.ask_again(to);
    taken = 0;
  }
  // The rest is the queue's; nothing more is taken in before it is empty.
  slots_.sent()[splice->from] += static_cast<double>(length);
  iovec rest{bytes, static_cast<size_t>(length)};
  keep(to, &rest, 1, static_cast<size_t>(taken));
  return slots_[to].state == State::kOpen && slots_[to].queue.empty();
}

// Nothing, or a failure, was found where a splice begins.
void Connections::read_failed(int32_t from, int error) {
  if (error == EINTR) interest_.ask_again(from);
  else if (slots_[from].error != 0) fail(from, slots_[from].error);
  else if (error != EAGAIN) fail(from, error);
}

void Connections::source_ended(Splice* splice) {
  const int32_t from = splice->from;
  const int32_t to = splice->to;
  Slot& source = slots_[from];
  forget(splice);
  if (source.error != 0) {
    fail(from, source.error);
  } else {
    source.read_ended = true;
    events_.emit(kEnd, from, 0, 0);
    if (source.finished) fail(from, 0);
  }
  if (slots_[to].state == State::kOpen) after_flush(to);
}

void Connections::forget(Splice* splice) {
  if (splice->in_pipe > 0) {
    slots_.queued()[splice->to] -= static_cast<double>(splice->in_pipe);
    pipes_.discard(splice->pipe);
  }
  slots_[splice->from].outgoing = nullptr;
  slots_[splice->to].incoming = nullptr;
  interest_.ask_again(splice->from);
  interest_.touch(splice->to);
  delete splice;
}

}  // namespace headgate
