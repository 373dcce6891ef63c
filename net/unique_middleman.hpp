#pragma once
/// CAF's middleman, with a node id of the process's own. CAF makes its id of MAC addresses, the root file
/// system's UUID and the process number: two containers on one machine may share all three. CAF takes a peer
/// that bears a known id for that node, so one client would get the other's replies.

#include <caf/actor_system.hpp>
#include <caf/io/middleman.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/node_id.hpp>
#include <sys/types.h>

namespace cairn {

/// The process that a node id stands for, if it is on this machine; else 0.
pid_t process_on_this_machine(const caf::node_id& id);

class unique_middleman final : public caf::io::middleman {
public:
  explicit unique_middleman(caf::actor_system& system) : middleman(system), backend_(&system) {}
  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>) {
    return new unique_middleman(system);
  }

  caf::io::network::multiplexer& backend() override { return backend_; }

  /// CAF calls it before it starts an actor or a thread, so nobody has seen the id that is replaced.
  void init(caf::actor_system_config& config) override {
    middleman::init(config);
    replace_node_id();
  }

private:
  void replace_node_id();

  caf::io::network::default_multiplexer backend_;
};

} // namespace cairn
