/// cairnd: the host process of storage nodes.

#include "net/cairnd.hpp"

#include "core/version.hpp"
#include "net/host.hpp"
#include "net/size_text.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace {

void log_to_stderr(const std::string& level) {
  auto logger = spdlog::stderr_color_mt("cairnd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

} // namespace

std::optional<int> cairn::parse_cairnd(int argc, char** argv, host_settings& settings,
                                       std::string& log_level) {
  CLI::App app{"cairnd runs Cairn storage nodes: its own, and those that coordinators start in it.",
               "cairnd"};
  auto& node = settings.node;
  std::string listen = cairn::default_address;
  std::string io = "direct";
  std::string max_file = "1GiB";
  std::string min_reserve = "1GiB";
  std::int64_t sync_interval_ms = node.sync_interval.count();
  std::int64_t idle_limit_ms = node.idle_limit.count();

  app.set_version_flag("--version", std::string{"cairnd "} + cairn::program_version);
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config-file", "",
                 "Read options from this file: one 'name=value' a line, without the dashes");
  app.add_option(
    "--data-dir", node.data_directory,
    "Directory of the node; made if it is not there. Without it the process has no node of its own "
    "(see --allow-remote-spawn)");
  app.add_option("--listen", listen, "HOST:PORT; port 0 takes a free one, the ready line tells which")
    ->capture_default_str();
  app.add_flag("--insecure", settings.insecure,
               "Listen beyond this machine although nothing protects the port");
  auto& tls = settings.net.tls;
  auto& limits = settings.net.limits;
  std::int64_t idle_connection_ms = limits.idle_limit.count();
  std::int64_t handshake_ms = limits.handshake_limit.count();
  app.add_option("--tls-ca", tls.ca, "Certificates of the cluster's authority; with it goes mutual TLS");
  app.add_option("--tls-cert", tls.certificate,
                 "This host's certificate, and those between it and the authority");
  app.add_option("--tls-key", tls.key, "Its key, readable by nobody else. SIGHUP reads the three files anew");
  app.add_option(
    "--tls-peer", settings.tls_peers,
    "Name in a certificate that may connect, besides the cluster's nodes; may be repeated, * = any");
  app.add_option("--max-connections", limits.max_connections, "Connections at a time")
    ->check(CLI::Range(1, 1'000'000))
    ->capture_default_str();
  app.add_option("--handshake-limit", handshake_ms, "After so many ms a connection must have said who it is")
    ->check(CLI::Range(100, 600'000))
    ->capture_default_str();
  app
    .add_option("--idle-connection-limit", idle_connection_ms,
                "After so many ms without a message a connection ends")
    ->check(CLI::Range(1'000, 86'400'000))
    ->capture_default_str();
  app.add_flag("--allow-remote-spawn", settings.allow_remote_spawn,
               "Let coordinators start nodes in this process");
  app.add_option("--spawn-root", settings.spawn_root,
                 "Directory below which such nodes have their data; made if it is not there");
  app.add_option("--max-spawned-nodes", settings.max_spawned, "How many such nodes may run at a time")
    ->check(CLI::Range(1, 1'000))
    ->capture_default_str();
  app.add_option("--cluster", node.cluster_name, "Name of the cluster")->capture_default_str();
  app.add_option("--node-name", node.node_name, "Name of the node, unique in the cluster")
    ->capture_default_str();
  app.add_option("--node-id", node.id.value, "Number of the node, unique in the cluster")
    ->capture_default_str();
  app.add_option(
    "--database", node.database,
    "PostgreSQL connection string or URI; without it the node runs its own server under the data "
    "directory");
  app.add_option("--sync-interval", sync_interval_ms, "Longest time in ms that written data stay unsynced")
    ->check(CLI::Range(1, 3'600'000))
    ->capture_default_str();
  app
    .add_option("--idle-limit", idle_limit_ms,
                "After so many ms an active segment or a retrieval is given up")
    ->check(CLI::Range(100, 86'400'000))
    ->capture_default_str();
  app.add_option("--max-value-file", max_file, "Size at which a new value file is begun")
    ->capture_default_str();
  app.add_option("--reserve-percent", node.reserve_percent, "Of each volume, kept free")
    ->check(CLI::Range(0, 90))
    ->capture_default_str();
  app.add_option("--min-reserve", min_reserve, "Bytes of each volume kept free at least")
    ->capture_default_str();
  app.add_option("--io", io, "How value files are written")
    ->check(CLI::IsMember({"direct", "buffered"}))
    ->capture_default_str();
  app.add_option("--log-level", log_level, "What is logged on standard error")
    ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
    ->capture_default_str();

  std::string wrong;
  try {
    app.parse(argc, argv);
    const auto take = [&](const auto& parsed, auto& into) {
      if (parsed)
        into = *parsed;
      else if (wrong.empty())
        wrong = parsed.error().message;
    };
    take(cairn::parse_address(listen), settings.listen);
    take(cairn::parse_size(max_file), node.max_value_file_bytes);
    take(cairn::parse_size(min_reserve), node.min_reserve_bytes);
    if (const auto checked = cairn::check(settings); !checked && wrong.empty())
      wrong = checked.error().message;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  if (!wrong.empty()) {
    fmt::print(stderr, "cairnd: {}\n", wrong);
    return 1;
  }
  limits.idle_limit = std::chrono::milliseconds{idle_connection_ms};
  limits.handshake_limit = std::chrono::milliseconds{handshake_ms};
  node.sync_interval = std::chrono::milliseconds{sync_interval_ms};
  node.idle_limit = std::chrono::milliseconds{idle_limit_ms};
  node.io = io == "direct" ? cairn::io_mode::direct : cairn::io_mode::buffered;
  return std::nullopt;
}

int cairn::run_cairnd(int argc, char** argv, disk* value_file_disk) {
  host_settings settings;
  settings.value_file_disk = value_file_disk;
  std::string log_level = "info";
  if (const auto ended = parse_cairnd(argc, argv, settings, log_level))
    return *ended;
  log_to_stderr(log_level);
  return run_host(settings);
}
