// What leaves without JavaScript: queued bytes, files, and splices.
#include <fcntl.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "loop.h"

namespace headgate {

namespace {

constexpr size_t kCopyBytes = 64 * 1024;
constexpr int kSegmentsMax = 16;

bool may_be_written(int fd) {
  pollfd asked{fd, POLLOUT, 0};
  return poll(&asked, 1, 0) != 0;
}

}  // namespace

void Loop::flush(int32_t index, int64_t budget) {
  Slot& slot = at(index);
  while (!slot.queue.empty() && budget > 0) {
    const Segment* head = slot.queue.head();
    const int64_t asked = std::min(head->end - head->start, budget);
    const int64_t sent = head->file >= 0 ? flush_file(index, budget) : flush_bytes(index);
    if (slot.state != State::kOpen || sent <= 0) break;
    budget -= sent;
    queued()[index] -= static_cast<double>(sent);
    // Most often it takes no more now. Of a file that is the cheaper question; that it has become shorter only another try can tell.
    if (sent < asked && !may_be_written(slot.fd)) break;
  }
  if (slot.state != State::kOpen) return;
  touch(index);
  if (budget <= 0 && !slot.queue.empty()) ask_again(index);
  // Somebody may have waited for the queue to be empty before his bytes may follow.
  if (slot.queue.empty() && slot.incoming != nullptr) touch(slot.incoming->from);
  after_flush(index);
}

// How much was sent; 0 when the socket takes no more, or the connection is lost.
int64_t Loop::flush_file(int32_t index, int64_t budget) {
  Slot& slot = at(index);
  Segment* segment = slot.queue.head();
  off_t offset = segment->start;
  ssize_t sent = sendfile(slot.fd, segment->file, &offset, static_cast<size_t>(std::min(segment->end - segment->start, budget)));
  if (sent <= 0) {
    int error = sent == 0 ? ENODATA : errno;
    if (error == EINTR) ask_again(index);
    if (error == EAGAIN || error == EINTR) return 0;
    // The connection's own; all others are the file's.
    if (error == EPIPE || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH) {
      write_failed(index, error);
      return 0;
    }
    // The file cannot be read, or is shorter than it was said to be: what the peer has must not look complete.
    close_slot(index, true);
    emit(kClosed, index, error, 1);
    return 0;
  }
  segment->start += sent;
  if (segment->start == segment->end) {
    emit(kFileSent, index, segment->file_id, 0);
    slot.queue.pop();
  }
  return sent;
}

int64_t Loop::flush_bytes(int32_t index) {
  Slot& slot = at(index);
  iovec parts[kSegmentsMax];
  int count = 0;
  Segment* segment = slot.queue.head();
  for (; segment != nullptr && segment->file < 0 && count < kSegmentsMax; segment = segment->next) {
    parts[count].iov_base = segment->data + segment->start;
    parts[count].iov_len = static_cast<size_t>(segment->end - segment->start);
    count++;
  }
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = static_cast<size_t>(count);
  // What follows leaves with it, in packets that are full.
  ssize_t sent = sendmsg(slot.fd, &message, segment == nullptr ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_MORE);
  if (sent < 0) {
    if (errno == EINTR || errno == ENOBUFS) ask_again(index);
    else if (errno != EAGAIN) write_failed(index, errno);
    return 0;
  }
  int64_t left = sent;
  while (left > 0) {
    segment = slot.queue.head();
    int64_t length = std::min(left, segment->end - segment->start);
    segment->start += length;
    left -= length;
    if (segment->start == segment->end) slot.queue.pop();
  }
  return sent;
}

// ----------------------------------------------------------------------------------------------------------------- splices

void Loop::step(Splice* splice, int64_t budget) {
  const int32_t from = splice->from;
  const int32_t to = splice->to;
  touch(from);
  touch(to);
  for (;;) {
    if (at(to).error != 0 || (splice->in_pipe > 0 && !push_out(splice))) return;
    if (splice->left == 0) {
      if (!at(to).queue.empty()) return;
      forget(splice);
      // What follows may be there already.
      ask_again(from);
      emit(kSpliced, from, 0, 0);
      return after_flush(to);
    }
    if (budget <= 0) return ask_again(from);
    if (at(from).paused || !at(to).queue.empty()) return;
    if (!(splice->copies ? copy_in(splice, &budget) : take_in(splice, &budget))) return;
  }
}

// True when the pipe is empty; otherwise the splice waits, or exists no more.
bool Loop::push_out(Splice* splice) {
  Slot& target = at(splice->to);
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
    sent()[splice->from] += static_cast<double>(length);
    queued()[splice->to] -= static_cast<double>(length);
  }
  pipes_.give_back(splice->pipe);
  splice->pipe = Pipe{};
  return true;
}

// False when nothing more can be had now.
bool Loop::take_in(Splice* splice, int64_t* budget) {
  if (!pipes_.take(&splice->pipe)) return copy_in(splice, budget);
  const int64_t wanted = std::min<int64_t>(splice->left, kPipeBytes);
  ssize_t length = ::splice(at(splice->from).fd, nullptr, splice->pipe.write_end, nullptr, static_cast<size_t>(wanted),
                            SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  int error = errno;
  if (length <= 0) {
    pipes_.give_back(splice->pipe);
    splice->pipe = Pipe{};
    // To splice(2) an urgent mark (RFC 6093) looks like an end, or like nothing: recv tells them apart, and reads past it.
    if (length == 0 || (error == EAGAIN && at(splice->from).urgent)) return copy_in(splice, budget);
    if (error == EINVAL) {
      splice->copies = true;
      return true;
    }
    if (error == EINTR) ask_again(splice->from);
    else if (error != EAGAIN) fail(splice->from, error);
    return false;
  }
  splice->in_pipe = length;
  splice->left -= length;
  *budget -= length;
  received()[splice->from] += static_cast<double>(length);
  queued()[splice->to] += static_cast<double>(length);
  return true;
}

bool Loop::copy_in(Splice* splice, int64_t* budget) {
  char bytes[kCopyBytes];
  const size_t wanted = static_cast<size_t>(std::min<int64_t>(splice->left, kCopyBytes));
  ssize_t length = recv(at(splice->from).fd, bytes, wanted, 0);
  if (length == 0) {
    source_ended(splice);
    return false;
  }
  if (length < 0) {
    if (errno == EINTR) ask_again(splice->from);
    else if (errno != EAGAIN) fail(splice->from, errno);
    return false;
  }
  splice->left -= length;
  *budget -= length;
  received()[splice->from] += static_cast<double>(length);
  const int32_t to = splice->to;
  ssize_t taken = ::send(at(to).fd, bytes, static_cast<size_t>(length), MSG_NOSIGNAL);
  if (taken < 0) {
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
      write_failed(to, errno);
      return false;
    }
    if (errno != EAGAIN) ask_again(to);
    taken = 0;
  }
  // The rest is the queue's; nothing more is taken in before it is empty.
  sent()[splice->from] += static_cast<double>(length);
  iovec rest{bytes, static_cast<size_t>(length)};
  keep(to, &rest, 1, static_cast<size_t>(taken));
  return at(to).state == State::kOpen && at(to).queue.empty();
}

void Loop::source_ended(Splice* splice) {
  const int32_t from = splice->from;
  const int32_t to = splice->to;
  Slot& source = at(from);
  forget(splice);
  if (source.error != 0) {
    fail(from, source.error);
  } else {
    source.read_ended = true;
    emit(kEnd, from, 0, 0);
    if (source.finished) fail(from, 0);
  }
  if (at(to).state == State::kOpen) after_flush(to);
}

void Loop::forget(Splice* splice) {
  if (splice->in_pipe > 0) {
    queued()[splice->to] -= static_cast<double>(splice->in_pipe);
    pipes_.discard(splice->pipe);
  }
  at(splice->from).outgoing = nullptr;
  at(splice->to).incoming = nullptr;
  ask_again(splice->from);
  touch(splice->to);
  delete splice;
}

}  // namespace headgate
