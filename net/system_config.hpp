#pragma once
/// CAF as both programs run it. Source of the choices: measurements of CAF 0.17.6 (see README.md).

#include "actors/wire_types.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/io/middleman.hpp>

namespace cairn {

/// Reads no configuration file and no command line of CAF's own.
class system_config : public caf::actor_system_config {
public:
  system_config() {
    load<caf::io::middleman>();
    add_wire_types(*this);
    set("scheduler.policy", caf::atom("sharing")); // a third of the default's latency, and idle when idle
    set("scheduler.max-threads", std::size_t{2});
    set("middleman.workers", std::size_t{0}); // one copy of each payload less
  }
};

} // namespace cairn
