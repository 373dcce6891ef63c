#include "core/host_validation.hpp"

#include "core/store/data_directory.hpp"
#include "core/utf8.hpp"

#include <filesystem>
#include <tuple>

#include <fmt/format.h>

namespace cairn {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t max_sync_interval_ms = 3'600'000;
constexpr std::int64_t min_idle_limit_ms = 100;
constexpr std::int64_t max_idle_limit_ms = 86'400'000;
constexpr std::uint64_t min_value_file_bytes = 1ULL << 20U;
constexpr std::uint64_t max_value_file_bytes = 1ULL << 40U;
/// A larger sequence would not fit a frame.
constexpr std::uint32_t max_sequence_bytes = 16U << 20U;
constexpr std::uint64_t max_window_bytes = 4ULL << 30U;

template <class... Args>
tl::unexpected<failure> invalid(fmt::format_string<Args...> text, Args&&... args) {
  return fail(errc::invalid_message, fmt::format(text, std::forward<Args>(args)...));
}

template <class Number>
result<void> check_range(std::string_view what, Number value, Number min, Number max) {
  if (value < min || value > max)
    return invalid("{} is {}, it must be {}..{}", what, value, min, max);
  return {};
}

result<void> check_limits(const node_limits& limits) {
  if (auto checked =
        check_range<std::uint64_t>("max_sequence_bytes", limits.max_sequence_bytes, 1, max_sequence_bytes);
      !checked)
    return checked;
  if (auto checked = check_range<std::uint64_t>("total_window_bytes", limits.total_window_bytes,
                                                limits.max_sequence_bytes, max_window_bytes);
      !checked)
    return checked;
  return check_range<std::uint64_t>("client_window_bytes", limits.client_window_bytes,
                                    limits.max_sequence_bytes, limits.total_window_bytes);
}

result<void> check_names(const start_node& message, const spawn_rules& rules) {
  if (message.version != wire_version)
    return fail(errc::version_mismatch,
                fmt::format("the coordinator speaks wire version {}, this host speaks {}", message.version,
                            wire_version));
  if (rules.root.empty())
    return fail(errc::not_allowed, "this host spawns no nodes: start it with --allow-remote-spawn");
  if (!message.cluster.empty() && message.cluster != rules.cluster)
    return fail(errc::not_allowed, fmt::format("this host runs nodes of cluster \"{}\", not of \"{}\"",
                                               rules.cluster, message.cluster));
  if (!is_valid_name(message.name))
    return invalid("node name \"{}\" must have 1 to 63 characters of A-Z a-z 0-9 . _ -", message.name);
  if (message.node.value <= 0)
    return invalid("node number is {}, it must be 1..2147483647", message.node.value);
  return {};
}

result<void> check_rest(const start_node& message) {
  if (message.root.empty() || message.root.size() > max_root_bytes || !is_storable_text(message.root))
    return invalid("root must be valid UTF-8 without NUL, of 1..{} bytes", max_root_bytes);
  if (message.database.size() > max_database_bytes || !is_storable_text(message.database))
    return invalid("database must be valid UTF-8 without NUL, of at most {} bytes", max_database_bytes);
  if (auto checked =
        check_range<std::int64_t>("sync_interval_ms", message.sync_interval_ms, 1, max_sync_interval_ms);
      !checked)
    return checked;
  if (auto checked =
        check_range("idle_limit_ms", message.idle_limit_ms, min_idle_limit_ms, max_idle_limit_ms);
      !checked)
    return checked;
  if (auto checked = check_range("max_value_file_bytes", message.max_value_file_bytes, min_value_file_bytes,
                                 max_value_file_bytes);
      !checked)
    return checked;
  if (auto checked = check_limits(message.limits); !checked)
    return checked;
  if (message.on_coordinator_loss != coordinator_loss::stop
      && message.on_coordinator_loss != coordinator_loss::go_on)
    return invalid("on_coordinator_loss is {}, it must be 0 (stop) or 1 (go_on)",
                   static_cast<int>(message.on_coordinator_loss));
  return {};
}

/// Whether `path` is `directory` or lies in it; both resolved.
bool lies_in(const std::string& path, const std::string& directory) {
  if (directory == "/")
    return true;
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

} // namespace

result<std::string> resolve_directory(const std::string& path) {
  std::error_code error;
  const auto absolute = fs::absolute(path, error);
  if (error || path.empty())
    return invalid("\"{}\" is not a directory's name", path);
  // Step by step, each as the kernel would take it: `..` leads out of where a symlink has led, and a symlink
  // to nowhere must not pass for a directory that is yet to be made.
  fs::path resolved = absolute.root_path();
  for (const auto& part : absolute.relative_path()) {
    if (part.empty() || part == ".")
      continue;
    if (part == "..") {
      resolved = resolved.parent_path();
      continue;
    }
    const auto next = resolved / part;
    const auto status = fs::symlink_status(next, error);
    if (status.type() == fs::file_type::not_found) {
      resolved = next;
      continue;
    }
    if (!error)
      resolved = fs::canonical(next, error);
    if (error)
      return invalid("\"{}\" leads through {}: {}", path, next.string(), error.message());
  }
  return resolved.string();
}

result<std::string> resolve_spawn_root(const std::string& asked, const std::string& allowed) {
  auto root = resolve_directory(allowed);
  if (!root)
    return root;
  auto directory = resolve_directory((fs::path(*root) / asked).string()); // an absolute one stands alone
  if (!directory)
    return directory;
  if (*directory == *root || !lies_in(*directory, *root))
    return fail(errc::not_allowed,
                fmt::format("root \"{}\" is {}, it must lie below {}", asked, *directory, *root));
  return directory;
}

bool overlap(const std::string& a, const std::string& b) { return lies_in(a, b) || lies_in(b, a); }

result<node_settings> to_settings(const start_node& message, const spawn_rules& rules) {
  if (auto checked = check_names(message, rules); !checked)
    return pass_failure(checked);
  if (auto checked = check_rest(message); !checked)
    return pass_failure(checked);
  auto directory = resolve_spawn_root(message.root, rules.root);
  if (!directory)
    return pass_failure(directory);
  auto settings = rules.defaults;
  settings.data_directory = std::move(*directory);
  settings.cluster_name = rules.cluster;
  settings.node_name = message.name;
  settings.id = message.node;
  settings.database = message.database;
  settings.sync_interval = std::chrono::milliseconds{message.sync_interval_ms};
  settings.idle_limit = std::chrono::milliseconds{message.idle_limit_ms};
  settings.max_value_file_bytes = message.max_value_file_bytes;
  settings.limits = message.limits;
  return settings;
}

bool same_node(const node_settings& a, const node_settings& b) {
  // The rest is the host's own, and equal for all of its spawned nodes.
  const auto of = [](const node_settings& s) {
    return std::tie(s.data_directory, s.cluster_name, s.node_name, s.id, s.database, s.sync_interval,
                    s.idle_limit, s.max_value_file_bytes, s.limits.max_sequence_bytes,
                    s.limits.client_window_bytes, s.limits.total_window_bytes);
  };
  return of(a) == of(b);
}

} // namespace cairn
