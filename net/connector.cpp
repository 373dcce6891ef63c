#include "net/connector.hpp"

#include "net/endpoint.hpp"

namespace cairn {

connector network_connector(transport& wire, const host_port& address) {
  return {[gate = wire.gate(), address](std::chrono::milliseconds time_limit) -> result<connected_host> {
            const auto inside = gate->enter();
            if (!inside)
              return fail(errc::shutting_down, "the network of this process has ended");
            auto reached = connect_host(*inside, address, time_limit);
            if (!reached)
              return pass_failure(reached);
            connected_host connected;
            connected.host = std::move(reached->host);
            connected.connection = reached->connection;
            return connected;
          },
          [gate = wire.gate()](std::uint64_t connection) {
            if (const auto inside = gate->enter())
              inside->disconnect(connection);
          }};
}

} // namespace cairn
