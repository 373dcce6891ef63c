#include "net/cli/command.hpp"
#include "net/endpoint.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

std::optional<hosted_nodes> ask_host(const context& where, exit_code& code) {
  const client_options options;
  const auto failed = [&](const failure& why) {
    where.out.error(fmt::format("no node answers at {}: {}", to_string(where.node.host), why.message));
    code = exit_code::not_reachable;
    return std::nullopt;
  };
  auto host = connect_host(where.net.wire(), where.node.host, options.connect_timeout);
  if (!host)
    return failed(host.error());
  auto hosted = ask_for_nodes(where.net.system(), host->host, options.connect_timeout);
  if (!hosted)
    return failed(hosted.error());
  return std::move(*hosted);
}

exit_code show_host(const context& where, const hosted_nodes& host) {
  where.out.note(fmt::format("{} of cluster {} without a node of its own, cairnd {}, {} nodes spawned{}",
                             to_string(where.node.host), host.cluster, host.program_version,
                             host.nodes.size(), host.allows_spawn ? "" : ", spawns none"));
  for (const auto& node : host.nodes)
    where.out.result({{"node", node.name},
                      {"number", node.node.value},
                      {"cluster", host.cluster},
                      {"phase", to_string(node.phase)},
                      {"spawned", node.is_spawned},
                      {"directory", node.data_directory},
                      {"on_coordinator_loss", to_string(node.on_coordinator_loss)},
                      {"coordinators", node.coordinators}},
                     fmt::format("{:<20} {:<9} {} coordinator{}, on loss {}  {}", node.name,
                                 to_string(node.phase), node.coordinators, node.coordinators == 1 ? "" : "s",
                                 to_string(node.on_coordinator_loss), node.data_directory));
  return exit_code::done;
}

} // namespace cairn::cli
