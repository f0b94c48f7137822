#include "pipes.h"

#include <fcntl.h>
#include <unistd.h>

namespace headgate {

PipePool::~PipePool() { close_all(); }

bool PipePool::take(Pipe* pipe) {
  if (!idle_.empty()) {
    *pipe = idle_.back();
    idle_.pop_back();
    return true;
  }
  if (open_ >= kPipesMax) return false;
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return false;
  // Above the quota the kernel refuses to enlarge, and makes new pipes of one or two pages: worse than copying.
  if (!limit_.admits(ends[1]) || fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes) < kPipeBytes) {
    close(ends[0]);
    close(ends[1]);
    return false;
  }
  pipe->read_end = ends[0];
  pipe->write_end = ends[1];
  open_++;
  return true;
}

void PipePool::give_back(Pipe pipe) {
  if (idle_.size() < kPipesIdleMax) idle_.push_back(pipe);
  else discard(pipe);
}

void PipePool::discard(Pipe pipe) {
  close(pipe.read_end);
  close(pipe.write_end);
  open_--;
}

void PipePool::close_all() {
  while (!idle_.empty()) {
    discard(idle_.back());
    idle_.pop_back();
  }
}

}  // namespace headgate
