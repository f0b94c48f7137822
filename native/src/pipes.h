// Pipes for splice(2). One is taken when bytes are about to pass and given back as soon as it is empty, so that as many pipes
// exist as there are slow receivers at one time. Where no full-size pipe can be had (the user's quota of
// /proc/sys/fs/pipe-user-pages-soft, descriptors, our own bound), the caller copies.
#pragma once
#include <cstddef>
#include <vector>

#include "descriptor_limit.h"

namespace headgate {

// 64 pages of 4 KiB: a quarter of what the kernel lets everybody ask for, and four times its default.
constexpr int kPipeBytes = 256 * 1024;
// 128 pipes of 256 KiB are half of the default quota of a user, which all workers and other programs share.
constexpr int kPipesMax = 128;
// Pipes that wait for their next use. Most are empty again at once; one more is needed only for one more receiver that is slow.
constexpr size_t kPipesIdleMax = 8;

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

class PipePool {
 public:
  explicit PipePool(DescriptorLimit& limit) : limit_(limit) {}
  ~PipePool();
  // False: none can be had now.
  bool take(Pipe* pipe);
  // Back to the pool: it is empty.
  void give_back(Pipe pipe);
  // Bytes are left in it that nobody wants.
  void discard(Pipe pipe);
  int open() const { return open_; }
  void close_all();

 private:
  DescriptorLimit& limit_;
  std::vector<Pipe> idle_;
  int open_ = 0;
};

}  // namespace headgate
