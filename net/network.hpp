#pragma once
/// A client process's end of the network: actor system and transport, in the right order.

#include "net/system_config.hpp"
#include "net/transport/transport.hpp"

#include <memory>

#include <caf/actor_system.hpp>

namespace cairn {

/// What was connected or spawned through it must be gone before it goes.
class network {
public:
  /// @error invalid_message: the TLS files, see tls_context::load
  static result<std::unique_ptr<network>> open(transport_options options = {});

  caf::actor_system& system() { return system_; }
  transport& wire() { return *wire_; }

private:
  network() = default;

  system_config config_;
  caf::actor_system system_{config_};
  std::unique_ptr<transport> wire_;
};

} // namespace cairn
