// Which descriptors connections may have. The others are for whoever must go on when clients have taken all of those: the admin
// interface, a worker in a dead one's place, files that are read again.
//
// Clients have fewer than the others: what they ask for needs connections to servers, and who cannot have one of his own waits for one
// that comes free. So the proxy goes on while there are some.
//
// The system gives the lowest number that is free, so a number near its limit says that all below are taken. Nothing is counted,
// threads need not know of each other, and far from the limit nothing is asked.
#pragma once
#include <climits>

namespace headgate {

class DescriptorLimit {
 public:
  // At most so many are left to others, and so many more to all but clients; fewer where the process may have few.
  void keep(int descriptors, int beside_clients);
  // Whether a connection may have this one. Otherwise it is to be closed, as if there had been none (EMFILE).
  bool admits(int fd);
  // The same for one that was accepted.
  bool admits_client(int fd);
  // Before somebody is accepted, who had better wait than be closed: whether there will be a descriptor for him. `fd`: any that is open.
  bool has_room(int fd);

 private:
  void read();

  int kept_ = 0;
  int beside_clients_ = 0;
  // The first number that no connection may have.
  int end_ = INT_MAX;
  int clients_end_ = INT_MAX;
  bool is_near_ = false;
};

}  // namespace headgate
