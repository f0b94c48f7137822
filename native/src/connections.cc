#include "connections.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "system_calls.h"

namespace headgate {

namespace {

constexpr int kSegmentsMax = 16;

// There are bytes, or an end or a failure that a read would find. A unix peer that only stopped reading leaves none of them.
bool may_be_read(int fd) {
  pollfd asked{fd, POLLIN, 0};
  return poll(&asked, 1, 0) != 0;
}

// Above 0: there are bytes that nobody has read; 0: there are none now; below: the connection's error.
int32_t unread(int fd) {
  char byte;
  const ssize_t found = receive_now(fd, &byte, 1, MSG_PEEK);
  if (found >= 0) return static_cast<int32_t>(found);
  return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
}

bool may_be_written(int fd) {
  pollfd asked{fd, POLLOUT, 0};
  return poll(&asked, 1, 0) != 0;
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------------- writing

void Connections::write(int32_t index, iovec* parts, int32_t count, bool more) {
  Slot& slot = slots_[index];
  const int flags = more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
  if (slot.finish_wanted) return;
  if (slot.error != 0) return write_failed(index, slot.error);
  if (!slot.queue.empty() || slot.incoming != nullptr) return keep(index, parts, count, 0);
  ssize_t sent;
  if (count == 1) {
    sent = send_now(slot.fd, parts[0].iov_base, parts[0].iov_len, flags);
    if (sent == static_cast<ssize_t>(parts[0].iov_len)) return;
  } else {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<size_t>(count);
    sent = sendmsg(slot.fd, &message, flags);
  }
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) return write_failed(index, errno);
    if (errno != EAGAIN) interest_.ask_again(index);
    sent = 0;
  }
  keep(index, parts, count, static_cast<size_t>(sent));
}

// Queues what is left behind the first `skip` bytes.
void Connections::keep(int32_t index, const iovec* parts, int32_t count, size_t skip) {
  Slot& slot = slots_[index];
  for (int32_t part = 0; part < count; part++) {
    size_t length = parts[part].iov_len;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    length -= skip;
    if (!slot.queue.append(static_cast<const char*>(parts[part].iov_base) + skip, length))
      return write_failed(index, ENOMEM);
    slots_.queued()[index] += static_cast<double>(length);
    skip = 0;
  }
  if (slot.queue.empty()) return;
  interest_.touch(index);
  if (slot.incoming == nullptr) return;
  // Nobody has tried to send it: the kernel must be asked whether it can be.
  interest_.ask_again(index);
  interest_.touch(slot.incoming->from);
}

int Connections::send_file(int32_t index, int file, int32_t id, int64_t offset, int64_t length, int64_t budget) {
  Slot& slot = slots_[index];
  if (slot.finish_wanted) return -EPIPE;
  if (slot.error != 0) {
    write_failed(index, slot.error);
    return -EPIPE;
  }
  const bool is_first = slot.queue.empty() && slot.incoming == nullptr;
  if (!slot.queue.append_file(file, id, offset, length)) return -ENOMEM;
  slots_.queued()[index] += static_cast<double>(length);
  if (is_first) {
    flush(index, budget);
  } else if (slot.incoming != nullptr) {
    interest_.ask_again(index);
    interest_.touch(slot.incoming->from);
  }
  return 0;
}

// --------------------------------------------------------------------------------------------------------------- the queue

void Connections::flush(int32_t index, int64_t budget) {
  Slot& slot = slots_[index];
  while (!slot.queue.empty() && budget > 0) {
    const Segment* head = slot.queue.head();
    const int64_t asked = std::min(head->end - head->start, budget);
    const int64_t sent = head->file >= 0 ? flush_file(index, budget) : flush_bytes(index);
    if (slot.state != State::kOpen || sent <= 0) break;
    budget -= sent;
    slots_.queued()[index] -= static_cast<double>(sent);
    // Most often it takes no more now. Of a file that is the cheaper question; that it has become shorter only another try can tell.
    if (sent < asked && !may_be_written(slot.fd)) break;
  }
  if (slot.state != State::kOpen) return;
  interest_.touch(index);
  if (budget <= 0 && !slot.queue.empty()) interest_.ask_again(index);
  // Somebody may have waited for the queue to be empty before his bytes may follow.
  if (slot.queue.empty() && slot.incoming != nullptr) interest_.touch(slot.incoming->from);
  after_flush(index);
}

// How much was sent; 0 when the socket takes no more, or the connection is lost.
int64_t Connections::flush_file(int32_t index, int64_t budget) {
  Slot& slot = slots_[index];
  Segment* segment = slot.queue.head();
  off_t offset = segment->start;
  ssize_t sent = sendfile(slot.fd, segment->file, &offset, static_cast<size_t>(std::min(segment->end - segment->start, budget)));
  if (sent <= 0) {
    int error = sent == 0 ? ENODATA : errno;
    if (error == EINTR) interest_.ask_again(index);
    if (error == EAGAIN || error == EINTR) return 0;
    // The connection's own; all others are the file's.
    if (error == EPIPE || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH) {
      write_failed(index, error);
      return 0;
    }
    // The file cannot be read, or is shorter than it was said to be: what the peer has must not look complete.
    close(index, true);
    events_.emit(kClosed, index, error, 1);
    return 0;
  }
  segment->start += sent;
  if (segment->start == segment->end) {
    events_.emit(kFileSent, index, segment->file_id, 0);
    slot.queue.pop();
  }
  return sent;
}

int64_t Connections::flush_bytes(int32_t index) {
  Slot& slot = slots_[index];
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
    if (errno == EINTR || errno == ENOBUFS) interest_.ask_again(index);
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

void Connections::after_flush(int32_t index) {
  Slot& slot = slots_[index];
  if (!slot.queue.empty() || slot.error != 0) return;
  if (slot.watched && slots_.queued()[index] == 0) {
    slot.watched = false;
    events_.emit(kDrain, index, 0, 0);
  }
  if (slot.finish_wanted && !slot.finished) end_stream(index);
}

void Connections::watch(int32_t index) {
  slots_[index].watched = true;
  after_flush(index);
}

// --------------------------------------------------------------------------------------------------------------------- ends

void Connections::finish(int32_t index, bool peer_is_done) {
  Slot& slot = slots_[index];
  if (!slot.finish_wanted) slot.close_wanted = peer_is_done;
  slot.finish_wanted = true;
  if (slot.queue.empty()) end_stream(index);
}

void Connections::end_stream(int32_t index) {
  Slot& slot = slots_[index];
  if (slot.finished || slot.incoming != nullptr) return;
  slot.finished = true;
  if (slot.close_wanted) {
    // Were something unread, a reset would follow, and could overtake what was sent.
    const int32_t found = unread(slot.fd);
    if (found <= 0) return fail(index, slot.error != 0 ? slot.error : -found);
  }
  if (shutdown(slot.fd, SHUT_WR) != 0 && errno != ENOTCONN) return fail(index, errno);
  if (slot.read_ended) fail(index, 0);
}

// A send has failed. What the peer said before may still be there to be read: an answer that came before the end of the
// request. Who does not read now is told at once.
void Connections::write_failed(int32_t index, int error) {
  Slot& slot = slots_[index];
  // Nor is what it said ever read where it goes to one that is broken as well: each would wait for the other's end.
  const bool leads_nowhere = slot.outgoing != nullptr && slots_[slot.outgoing->to].error != 0;
  if (slot.paused || slot.read_ended || leads_nowhere || !may_be_read(slot.fd)) return fail(index, error);
  slot.error = error;
  while (!slot.queue.empty()) slot.queue.pop();
  const double between = slot.incoming == nullptr ? 0 : static_cast<double>(slot.incoming->in_pipe);
  slot.lost += static_cast<int64_t>(slots_.queued()[index] - between);
  slots_.queued()[index] = between;
  interest_.ask_again(index);
  if (slot.incoming != nullptr) interest_.touch(slot.incoming->from);
}

// Most peers that take nothing more have gone, and an end stands behind what they said. One on a unix socket may only have stopped
// reading: nothing follows.
void Connections::read_on(int32_t index) {
  const Slot& slot = slots_[index];
  if (slot.error != 0 && !may_be_read(slot.fd)) fail(index, slot.error);
  else interest_.ask_again(index);
}

void Connections::fail(int32_t index, int error) {
  close(index, false);
  events_.emit(kClosed, index, error, 0);
}

void Connections::close(int32_t index, bool reset) {
  Slot& slot = slots_[index];
  int32_t target = -1;
  if (slot.outgoing != nullptr) {
    target = slot.outgoing->to;
    forget(slot.outgoing);
  }
  if (slot.incoming != nullptr) {
    // What still comes there was meant for this one alone: nobody is shown it.
    int32_t source = slot.incoming->from;
    forget(slot.incoming);
    slots_[source].paused = true;
    interest_.touch(source);
  }
  while (!slot.queue.empty()) slot.queue.pop();
  slots_.queued()[index] += static_cast<double>(slot.lost);
  if (reset) {
    linger hard{1, 0};
    setsockopt(slot.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  ::close(slot.fd);
  slots_.retire(index);
  // An end may have waited for the splice to be over.
  if (target >= 0 && slots_.is_open(target)) after_flush(target);
}

int Connections::release(int32_t index) {
  Slot& slot = slots_[index];
  if (slot.error != 0) return -slot.error;
  if (slot.finish_wanted) return -EPIPE;
  if (!slot.queue.empty() || slot.outgoing != nullptr || slot.incoming != nullptr) return -EBUSY;
  if (events_.any_waits()) return -EAGAIN;
  const int fd = slot.fd;
  // It lives on elsewhere, and would stay in the set.
  const int error = interest_.remove(index);
  if (error != 0) return error;
  slots_.queued()[index] = 0;
  slots_.retire(index);
  return fd;
}

}  // namespace headgate
