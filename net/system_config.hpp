#pragma once
/// CAF as both programs run it. Source of the choices: measurements of CAF 0.17.6 (see README.md).

#include "actors/wire_types.hpp"
#include "net/unique_middleman.hpp"

#include <algorithm>
#include <thread>

#include <caf/actor_system_config.hpp>

namespace cairn {

/// Reads no configuration file and no command line of CAF's own.
class system_config : public caf::actor_system_config {
public:
  system_config() {
    load<unique_middleman>();
    add_wire_types(*this);
    set("scheduler.policy", caf::atom("sharing")); // a third of the default's latency, and idle when idle
    // What blocks or takes long has a thread of its own; what is left is quick, and handing it from one
    // thread to the next costs more than doing it.
    set("scheduler.max-threads", std::max<std::size_t>(1, std::thread::hardware_concurrency() / 2));
    set("middleman.workers", std::size_t{0}); // one copy of each payload less
  }
};

} // namespace cairn
