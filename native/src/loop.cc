#include "loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace headgate {

namespace {

// What an open connection is watched for while it is read. Edge-triggered: the kernel tells what is new and does not look
// again at every socket that was told before. So whoever stops before everything is read must ask again (ask_again). EPOLLPRI:
// there is an urgent mark (RFC 6093), at which one read ends though more has arrived.
constexpr uint32_t kReadable = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
// There may be more behind what one read has given, or an end.
constexpr uint32_t kMore = EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
// Ready sockets that a turn takes from each set: what the first of them waits for the last is bounded by this.
constexpr int kReadyMax = 128;
// What is read from one socket in a turn: nobody is starved by a fast sender, and no call is wasted on a small piece.
constexpr int32_t kReadBytesMax = 64 * 1024;
// With less room than this in the slab, JavaScript runs first.
constexpr int32_t kReadRoomMin = 16 * 1024;
// Connections accepted from one listener in a turn.
constexpr int kAcceptsMax = 64;
// One socket makes at most this many events in a turn.
constexpr int32_t kEventsOfSocketMax = kAcceptsMax + 8;
// "IP PORT IP PORT", each address at most 45 characters.
constexpr size_t kAddressTextMax = 128;

// recv and send of the C library are points at which a thread can be cancelled, which costs four atomic operations a call where
// there is more than one thread. Nobody cancels these.
ssize_t receive_now(int fd, void* bytes, size_t length) {
  return syscall(SYS_recvfrom, fd, bytes, length, 0, nullptr, nullptr);
}

ssize_t send_now(int fd, const void* bytes, size_t length, int flags) {
  return syscall(SYS_sendto, fd, bytes, length, flags, nullptr, 0);
}

int socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

// There are bytes, or an end or a failure that a read would find. A unix peer that only stopped reading leaves none of them.
bool may_be_read(int fd) {
  pollfd asked{fd, POLLIN, 0};
  return poll(&asked, 1, 0) != 0;
}

int32_t append_address(char* text, int fd, bool remote) {
  sockaddr_storage address;
  memset(&address, 0, sizeof address);
  socklen_t length = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (remote) getpeername(fd, raw, &length);
  else getsockname(fd, raw, &length);
  return static_cast<int32_t>(format_address(address, text, kAddressTextMax / 2));
}

}  // namespace

Loop::Loop(Deliver deliver, void* context)
    : deliver_(deliver),
      context_(context),
      receive_(kReceiveBytes),
      send_(kSendBytes),
      events_(size_t{kEventsMax} * kEventInts * sizeof(int32_t)),
      commands_(size_t{kCommandsMax} * kCommandInts * sizeof(int32_t)),
      queued_(size_t{kSlotsMax} * sizeof(double)),
      received_(size_t{kSlotsMax} * sizeof(double)),
      sent_(size_t{kSlotsMax} * sizeof(double)),
      table_(size_t{kSlotsMax} * sizeof(Slot)),
      slots_(static_cast<Slot*>(table_.data())) {}

Loop::~Loop() { close_all(); }

int Loop::open() {
  for (const Mapping* mapping :
       {&receive_, &send_, &events_, &commands_, &queued_, &received_, &sent_, &table_}) {
    if (mapping->data() == nullptr) return -ENOMEM;
  }
  for (int& set : epolls_) {
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return -errno;
  }
  is_open_ = true;
  return 0;
}

void Loop::close_all() {
  for (int32_t index = 0; index < known_; index++) {
    State state = at(index).state;
    if (state != State::kFree && state != State::kClosed) close_slot(index, false);
  }
  pipes_.close_all();
  for (int& set : epolls_) {
    if (set >= 0) ::close(set);
    set = -1;
  }
  is_open_ = false;
}

// ------------------------------------------------------------------------------------------------------------------- slots

bool Loop::is_open(int32_t slot) const {
  return slot >= 0 && slot < known_ && slots_[slot].state == State::kOpen;
}

// It has a splice that may take nothing now: its target has not been given all that was taken, or is broken.
bool Loop::is_blocked(const Slot& slot) const {
  const Splice* splice = slot.outgoing;
  if (splice == nullptr) return false;
  const Slot& target = slots_[splice->to];
  return splice->in_pipe > 0 || !target.queue.empty() || target.error != 0;
}

// Something waits for the peer to take it.
bool Loop::is_sending(const Slot& slot) const {
  return !slot.queue.empty() || (slot.incoming != nullptr && slot.incoming->in_pipe > 0);
}

int32_t Loop::take_slot(int fd, State state, Side side, uint32_t interest) {
  int32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else if (known_ < kSlotsMax) {
    index = known_++;
  } else {
    return -EMFILE;
  }
  Slot& slot = at(index);
  slot = Slot{};
  slot.fd = fd;
  slot.state = state;
  slot.side = side;
  slot.interest = interest;
  epoll_event event{};
  event.events = interest;
  event.data.u32 = static_cast<uint32_t>(index);
  if (epoll_ctl(epoll(side), EPOLL_CTL_ADD, fd, &event) != 0) {
    int error = errno;
    slot.state = State::kFree;
    free_.push_back(index);
    return -error;
  }
  size_++;
  queued()[index] = 0;
  return index;
}

void Loop::release_closed() {
  for (int32_t index : closed_) {
    at(index).state = State::kFree;
    free_.push_back(index);
  }
  closed_.clear();
}

void Loop::close_slot(int32_t index, bool reset) {
  Slot& slot = at(index);
  int32_t target = -1;
  if (slot.outgoing != nullptr) {
    target = slot.outgoing->to;
    forget(slot.outgoing);
  }
  if (slot.incoming != nullptr) {
    // What still comes there was meant for this one alone: nobody is shown it.
    int32_t source = slot.incoming->from;
    forget(slot.incoming);
    at(source).paused = true;
    touch(source);
  }
  while (!slot.queue.empty()) slot.queue.pop();
  // What is left there until somebody else has the slot is what was lost.
  queued()[index] += static_cast<double>(slot.lost);
  // The socket may have another descriptor, which would keep it in the set.
  if (slot.state == State::kListening) epoll_ctl(epoll(slot.side), EPOLL_CTL_DEL, slot.fd, nullptr);
  if (slot.state != State::kListening || slot.owned) {
    if (reset) {
      linger hard{1, 0};
      setsockopt(slot.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    ::close(slot.fd);
  }
  slot.fd = -1;
  slot.state = State::kClosed;
  closed_.push_back(index);
  size_--;
  // An end may have waited for the splice to be over.
  if (target >= 0 && at(target).state == State::kOpen) after_flush(target);
}

// ------------------------------------------------------------------------------------------------------------------ events

void Loop::emit(int32_t kind, int32_t slot, int32_t a, int32_t b) {
  if (collecting_ && count_ < kEventsMax) {
    int32_t* event = events() + count_++ * kEventInts;
    event[0] = kind;
    event[1] = slot;
    event[2] = a;
    event[3] = b;
  } else {
    pending_.insert(pending_.end(), {kind, slot, a, b});
  }
}

// The record of events is free: what waits goes there.
void Loop::collect_pending() {
  if (pending_.empty()) return;
  size_t ints = std::min(pending_.size(), static_cast<size_t>(kEventsMax - count_) * kEventInts);
  memcpy(events() + count_ * kEventInts, pending_.data(), ints * sizeof(int32_t));
  count_ += static_cast<int32_t>(ints) / kEventInts;
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(ints));
}

void Loop::deliver() {
  settle();
  if (count_ > 0) {
    int32_t count = count_;
    count_ = 0;
    collecting_ = false;
    deliver_(context_, count);
    collecting_ = true;
  }
  used_ = 0;
}

void Loop::turn(uint32_t sides) {
  if (!is_open_ || in_turn_) return;
  in_turn_ = true;
  collecting_ = true;
  count_ = used_ = ready_ = 0;
  collect_pending();
  for (Side side : kSides) {
    if ((sides & bit_of(side)) != 0) read_ready(side);
  }
  deliver();
  // More than the record holds.
  collect_pending();
  deliver();
  collecting_ = false;
  in_turn_ = false;
  if (pending_.empty()) release_closed();
}

void Loop::read_ready(Side side) {
  epoll_event ready[kReadyMax];
  const int count = epoll_wait(epoll(side), ready, kReadyMax, 0);
  ready_ += std::max(count, 0);
  transfer_bytes_max_ = std::max(kTransferBytesMin, kTransferBytesMax / std::max(ready_, 1));
  // JavaScript may close everything between two of them.
  for (int at = 0; at < count && is_open_; at++) {
    if (kReceiveBytes - used_ < kReadRoomMin || count_ > kEventsMax - kEventsOfSocketMax) deliver();
    handle(static_cast<int32_t>(ready[at].data.u32), ready[at].events);
  }
}

void Loop::handle(int32_t index, uint32_t ready) {
  Slot& slot = at(index);
  switch (slot.state) {
    case State::kListening:
      return accept_from(index);
    case State::kConnecting:
      return finish_connect(index);
    case State::kOpen:
      break;
    default:
      return;
  }
  if ((ready & EPOLLOUT) != 0) {
    // A unix socket tells whenever its peer has read something.
    if (ready == EPOLLOUT && !is_sending(slot) && slot.incoming == nullptr) {
      slot.blocks = false;
      return touch(index);
    }
    if (!slot.queue.empty()) flush(index);
    if (slot.state == State::kOpen && slot.queue.empty() && slot.incoming != nullptr) step(slot.incoming);
  }
  if ((ready & EPOLLPRI) != 0) slot.urgent = true;
  if (slot.state != State::kOpen || (ready & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  if (slot.paused || slot.read_ended || is_blocked(slot)) silent_failure(index, ready);
  // What is read must be told while the slab holds it: not when events wait that the record had no room for.
  else if (!pending_.empty()) ask_again(index);
  else if (slot.outgoing != nullptr) step(slot.outgoing);
  else read_from(index, ready);
}

void Loop::accept_from(int32_t index) {
  Slot& listener = at(index);
  for (int accepts = 0; accepts < kAcceptsMax && !listener.suspended; accepts++) {
    sockaddr_storage address;
    memset(&address, 0, sizeof address);
    socklen_t length = sizeof address;
    int fd = accept4(listener.fd, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int error = errno;
    if (fd >= 0) {
      int32_t slot = take_slot(fd, State::kOpen, Side::kAccepted, kReadable);
      if (slot >= 0) {
        char* text = receive() + used_;
        auto used = static_cast<int32_t>(format_address(address, text, kAddressTextMax / 2));
        if (listener.wildcard) {
          text[used++] = ' ';
          used += append_address(text + used, fd, false);
        }
        emit(kAccepted, slot, used_, used | index << 8);
        used_ += used;
        continue;
      }
      ::close(fd);
      error = -slot;
    } else {
      if (error == EAGAIN) return;
      // A client that has gone again, or the network's trouble with one (accept(2), "Error handling").
      if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM && error != EINVAL && error != EBADF)
        continue;
    }
    // It would be ready in every turn from now on, and nothing could be done about it.
    listener.suspended = true;
    touch(index);
    emit(kAcceptFailed, index, error, 0);
  }
}

void Loop::finish_connect(int32_t index) {
  Slot& slot = at(index);
  int error = socket_error(slot.fd);
  if (error != 0) return fail(index, error);
  slot.state = State::kOpen;
  touch(index);
  int32_t length = append_address(receive() + used_, slot.fd, false);
  emit(kConnected, index, used_, length);
  used_ += length;
}

void Loop::read_from(int32_t index, uint32_t ready) {
  Slot& slot = at(index);
  int32_t size = std::min(kReadBytesMax, kReceiveBytes - used_);
  ssize_t length = receive_now(slot.fd, receive() + used_, static_cast<size_t>(size));
  if (length > 0) {
    emit(kRead, index, used_, static_cast<int32_t>(length));
    used_ += static_cast<int32_t>(length);
    if (length == size || (ready & kMore) != 0) ask_again(index);
  } else if (length == 0) {
    if (slot.error != 0) return fail(index, slot.error);
    slot.read_ended = true;
    touch(index);
    emit(kEnd, index, 0, 0);
    if (slot.finished) fail(index, 0);
  } else if (errno == EINTR) {
    ask_again(index);
  } else if (errno != EAGAIN) {
    fail(index, errno);
  }
}

// Nobody reads it now. It may be broken all the same, or over in both directions.
void Loop::silent_failure(int32_t index, uint32_t ready) {
  ask_again(index);
  if ((ready & (EPOLLHUP | EPOLLERR)) == 0) return;
  Slot& slot = at(index);
  if (slot.error == 0) slot.error = socket_error(slot.fd);
  // Over in both directions: a unix peer has closed, which is no more than its end until somebody writes to it.
  if (slot.error == 0) return;
  // What a server said before may be an answer: what is left to be read, or handed on, goes first, unless somebody waits for the
  // peer. A client that is gone cannot be answered, and whatever it asked for is to end at once.
  int unread = 0;
  ioctl(slot.fd, FIONREAD, &unread);
  const bool holds = slot.outgoing != nullptr && slot.outgoing->in_pipe > 0;
  const bool tells_now = slot.side == Side::kAccepted || slot.read_ended || is_sending(slot);
  if (tells_now || (unread == 0 && !holds)) fail(index, slot.error);
}

// ---------------------------------------------------------------------------------------------------------------- commands

int32_t Loop::submit(int32_t count, bool collect) {
  const int32_t* record = commands();
  count = std::clamp(count, 0, kCommandsMax);
  for (int32_t next = 0; next < count;) {
    const int32_t* command = record + next * kCommandInts;
    const int32_t index = command[1];
    const int32_t opcode = command[0] & 0xff;
    // Closed meanwhile: JavaScript will know when it reads the event.
    if (!is_open(index)) {
      const bool gives_up = index >= 0 && index < known_ && at(index).state == State::kConnecting;
      if (gives_up && opcode == kDestroy) close_slot(index, false);
      next++;
      continue;
    }
    Slot& slot = at(index);
    switch (opcode) {
      case kWrite:
      case kForward:
        next = write_commands(next, count);
        continue;
      case kFinish:
        slot.finish_wanted = true;
        if (slot.queue.empty()) finish(index);
        break;
      case kDestroy:
        close_slot(index, command[2] == 1);
        break;
      case kPause:
        slot.paused = true;
        touch(index);
        break;
      case kResume:
        slot.paused = false;
        touch(index);
        break;
      case kWatch:
        slot.watched = true;
        after_flush(index);
        break;
      default:
        break;
    }
    next++;
  }
  settle();
  if (!collect || collecting_) return static_cast<int32_t>(pending_.size()) / kEventInts;
  count_ = 0;
  collect_pending();
  int32_t collected = count_;
  count_ = 0;
  if (collected == 0 && pending_.empty() && !in_turn_) release_closed();
  return collected;
}

// Neighbouring writes to one connection leave in one call.
int32_t Loop::write_commands(int32_t first, int32_t count) {
  constexpr int32_t kPartsMax = 64;
  iovec parts[kPartsMax];
  const int32_t* record = commands();
  const int32_t index = record[first * kCommandInts + 1];
  int32_t used = 0;
  bool watch = false;
  bool more = false;
  int32_t next = first;
  for (; next < count && used < kPartsMax; next++) {
    const int32_t* command = record + next * kCommandInts;
    const int32_t opcode = command[0] & 0xff;
    if (command[1] != index || (opcode != kWrite && opcode != kForward)) break;
    const int32_t bytes = opcode == kWrite ? kSendBytes : kReceiveBytes;
    const int32_t offset = command[2];
    const int32_t length = command[3];
    if (offset < 0 || length <= 0 || offset > bytes || length > bytes - offset) continue;
    parts[used].iov_base = (opcode == kWrite ? send() : receive()) + offset;
    parts[used].iov_len = static_cast<size_t>(length);
    used++;
    watch = watch || (command[0] >> 8 & kFlagWatch) != 0;
    more = (command[0] >> 8 & kFlagMore) != 0;
  }
  if (watch) at(index).watched = true;
  if (used > 0) write(index, parts, used, more);
  if (watch && at(index).state == State::kOpen) after_flush(index);
  return next;
}

void Loop::write(int32_t index, iovec* parts, int32_t count, bool more) {
  Slot& slot = at(index);
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
    if (errno != EAGAIN) ask_again(index);
    sent = 0;
  }
  keep(index, parts, count, static_cast<size_t>(sent));
}

// Queues what is left behind the first `skip` bytes.
void Loop::keep(int32_t index, const iovec* parts, int32_t count, size_t skip) {
  Slot& slot = at(index);
  for (int32_t part = 0; part < count; part++) {
    size_t length = parts[part].iov_len;
    if (skip >= length) {
      skip -= length;
      continue;
    }
    length -= skip;
    if (!slot.queue.append(static_cast<const char*>(parts[part].iov_base) + skip, length))
      return write_failed(index, ENOMEM);
    queued()[index] += static_cast<double>(length);
    skip = 0;
  }
  if (slot.queue.empty()) return;
  touch(index);
  if (slot.incoming == nullptr) return;
  // Nobody has tried to send it: the kernel must be asked whether it can be.
  ask_again(index);
  touch(slot.incoming->from);
}

// ----------------------------------------------------------------------------------------------------------------- sending

void Loop::after_flush(int32_t index) {
  Slot& slot = at(index);
  if (!slot.queue.empty() || slot.error != 0) return;
  if (slot.watched && queued()[index] == 0) {
    slot.watched = false;
    emit(kDrain, index, 0, 0);
  }
  if (slot.finish_wanted && !slot.finished) finish(index);
}

void Loop::finish(int32_t index) {
  Slot& slot = at(index);
  if (slot.finished || slot.incoming != nullptr) return;
  slot.finished = true;
  if (shutdown(slot.fd, SHUT_WR) != 0 && errno != ENOTCONN) return fail(index, errno);
  if (slot.read_ended) fail(index, 0);
}

// A send has failed. What the peer said before may still be there to be read: an answer that came before the end of the
// request. Who does not read now is told at once.
void Loop::write_failed(int32_t index, int error) {
  Slot& slot = at(index);
  if (slot.paused || slot.read_ended || !may_be_read(slot.fd)) return fail(index, error);
  slot.error = error;
  while (!slot.queue.empty()) slot.queue.pop();
  const double between = slot.incoming == nullptr ? 0 : static_cast<double>(slot.incoming->in_pipe);
  slot.lost += static_cast<int64_t>(queued()[index] - between);
  queued()[index] = between;
  ask_again(index);
  if (slot.incoming != nullptr) touch(slot.incoming->from);
}

void Loop::fail(int32_t index, int error) {
  close_slot(index, false);
  emit(kClosed, index, error, 0);
}

// ---------------------------------------------------------------------------------------------------------------- interest

void Loop::touch(int32_t index) {
  Slot& slot = at(index);
  if (slot.dirty) return;
  slot.dirty = true;
  dirty_.push_back(index);
}

// What the kernel has told already, it is to tell once more: as soon as this is read, or written, at all.
void Loop::ask_again(int32_t index) {
  at(index).again = true;
  touch(index);
}

void Loop::settle() {
  for (int32_t index : dirty_) {
    at(index).dirty = false;
    update_interest(index);
  }
  dirty_.clear();
}

void Loop::update_interest(int32_t index) {
  Slot& slot = at(index);
  uint32_t wanted = 0;
  if (slot.state == State::kListening) {
    if (!slot.suspended) wanted = EPOLLIN;
  } else if (slot.state == State::kOpen) {
    wanted = EPOLLET;
    if (!slot.paused && !slot.read_ended && !is_blocked(slot)) wanted |= kReadable;
    // Once it was needed it stays: edge-triggered, it costs nothing where everything is taken, and two calls are saved wherever
    // not everything is.
    slot.blocks = slot.blocks || is_sending(slot);
    if (slot.blocks && slot.error == 0) wanted |= EPOLLOUT;
  } else {
    return;
  }
  // Not where nothing is read and nothing waits to be sent: a connection that is over would be told of in every turn.
  const bool asks = slot.again && ((wanted & EPOLLIN) != 0 || ((wanted & EPOLLOUT) != 0 && is_sending(slot)));
  if (wanted == slot.interest && !asks) return;
  epoll_event event{};
  event.events = wanted;
  event.data.u32 = static_cast<uint32_t>(index);
  if (epoll_ctl(epoll(slot.side), EPOLL_CTL_MOD, slot.fd, &event) != 0) return;
  if (asks) slot.again = false;
  slot.interest = wanted;
}

// --------------------------------------------------------------------------------------------------- what JavaScript asks

int32_t Loop::listen(int fd, bool owned, int keep_alive_seconds) {
  sockaddr_storage address;
  memset(&address, 0, sizeof address);
  socklen_t length = sizeof address;
  // What is not a listening socket is not closed either: it is somebody else's.
  if (!is_listening(fd)) return -EINVAL;
  int error = getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ? errno : 0;
  // One that came from elsewhere may block, and would block everything.
  const int flags = fcntl(fd, F_GETFL);
  if (error == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)) error = errno;
  int32_t index = error != 0 ? -error : take_slot(fd, State::kListening, Side::kAccepted, EPOLLIN);
  if (index < 0) return index;
  Slot& slot = at(index);
  slot.owned = owned;
  char text[kAddressTextMax];
  format_address(address, text, sizeof text);
  slot.wildcard = strncmp(text, "0.0.0.0 ", 8) == 0 || strncmp(text, ":: ", 3) == 0;
  if (address.ss_family != AF_UNIX) {
    set_no_delay(fd);
    if (keep_alive_seconds > 0) set_keep_alive(fd, keep_alive_seconds);
  }
  return index;
}

int32_t Loop::close_listener(int32_t slot) {
  if (slot < 0 || slot >= known_ || at(slot).state != State::kListening) return -EBADF;
  close_slot(slot, false);
  return 0;
}

int32_t Loop::resume_listener(int32_t slot) {
  if (slot < 0 || slot >= known_ || at(slot).state != State::kListening) return -EBADF;
  at(slot).suspended = false;
  touch(slot);
  settle();
  return 0;
}

int32_t Loop::connect(int fd, int keep_alive_seconds) {
  if (keep_alive_seconds > 0) set_keep_alive(fd, keep_alive_seconds);
  int32_t index = take_slot(fd, State::kConnecting, Side::kDialled, EPOLLOUT);
  if (index < 0) ::close(fd);
  return index;
}

int32_t Loop::send_file(int32_t index, int file, int32_t id, int64_t offset, int64_t length) {
  if (!is_open(index)) return -EBADF;
  Slot& slot = at(index);
  if (slot.finish_wanted) return -EPIPE;
  if (slot.error != 0) {
    write_failed(index, slot.error);
    return -EPIPE;
  }
  const bool is_first = slot.queue.empty() && slot.incoming == nullptr;
  if (!slot.queue.append_file(file, id, offset, length)) return -ENOMEM;
  queued()[index] += static_cast<double>(length);
  if (is_first) {
    flush(index);
  } else if (slot.incoming != nullptr) {
    ask_again(index);
    touch(slot.incoming->from);
  }
  settle();
  return static_cast<int32_t>(pending_.size()) / kEventInts;
}

int32_t Loop::release(int32_t index) {
  if (!is_open(index)) return -EBADF;
  Slot& slot = at(index);
  if (slot.error != 0) return -slot.error;
  if (slot.finish_wanted) return -EPIPE;
  if (!slot.queue.empty() || slot.outgoing != nullptr || slot.incoming != nullptr) return -EBUSY;
  if (!pending_.empty()) return -EAGAIN;
  const int fd = slot.fd;
  // It lives on elsewhere, and would stay in the set.
  if (epoll_ctl(epoll(slot.side), EPOLL_CTL_DEL, fd, nullptr) != 0) return -errno;
  slot.fd = -1;
  slot.state = State::kClosed;
  queued()[index] = 0;
  closed_.push_back(index);
  size_--;
  return fd;
}

int32_t Loop::splice(int32_t from, int32_t to, int64_t bytes) {
  if (!is_open(from) || !is_open(to) || from == to) return -EBADF;
  Slot& source = at(from);
  Slot& target = at(to);
  if (source.outgoing != nullptr || target.incoming != nullptr || source.read_ended || target.finish_wanted) return -EBUSY;
  auto* splice = new Splice{from, to, bytes, Pipe{}, 0, false};
  source.outgoing = splice;
  target.incoming = splice;
  received()[from] = sent()[from] = 0;
  ask_again(from);
  touch(to);
  settle();
  return 0;
}

}  // namespace headgate
