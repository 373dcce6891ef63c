#include "core/store/rebuild.hpp"

#include "core/db/server_processes.hpp"
#include "core/store/recovery.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

namespace cairn {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds server_end_limit{30};

/// DIR/postgres -> DIR/postgres-before-rebuild-N, unless the node runs.
/// @returns the new path; empty when there is no server
result<std::string> put_server_aside(const std::string& directory) {
  auto locked = data_directory::open(directory);
  if (!locked)
    return pass_failure(locked);
  const auto server = locked->postgres_path();
  std::error_code error;
  if (!fs::exists(server, error))
    return std::string{};
  if (auto ended = end_server_processes(server + "/data", server_end_limit);
      !ended) // of a node that was killed
    return pass_failure(ended);
  std::string aside;
  for (int number = 1; aside.empty() || fs::exists(aside, error); ++number)
    aside = fmt::format("{}-before-rebuild-{}", server, number);
  fs::rename(server, aside, error);
  if (error)
    return fail(errc::storage_error,
                fmt::format("cannot rename {} to {}: {}", server, aside, error.message()));
  return aside;
}

/// Where value files lie now counts, and not where a record says that they once did: a copy of them may have
/// been restored to another place.
result<void> keep_linked_paths(node_database& database, const std::vector<file_space>& linked) {
  auto state = database.load_state();
  if (!state)
    return pass_failure(state);
  std::vector<file_space> moved;
  for (auto& row : state->file_spaces) {
    const auto link = std::find_if(linked.begin(), linked.end(),
                                   [&](const file_space& space) { return space.space == row.space; });
    if (link == linked.end() || link->path == row.path)
      continue;
    row.path = link->path;
    moved.push_back(std::move(row));
  }
  return database.add_file_spaces(moved);
}

} // namespace

result<rebuilt_database> node_store::rebuild(const replay_progress& on_progress) {
  if (auto links = linked_spaces(); links && links->empty()) // value files alone were restored
    if (auto prepared = prepare_default_space(); !prepared)
      return pass_failure(prepared);
  auto value_files_exist = holds_value_files();
  if (!value_files_exist)
    return pass_failure(value_files_exist);
  if (!*value_files_exist)
    return fail(errc::not_found,
                fmt::format("there is nothing to rebuild from: no value file below {}", spaces_root()));
  auto linked = linked_spaces();
  if (!linked)
    return pass_failure(linked);
  if (auto opened = open_spaces(*linked); !opened)
    return pass_failure(opened);
  auto log = log_directory::scan(disk_, *spaces_, settings_.cluster_name, settings_.id);
  if (!log)
    return pass_failure(log);

  // Everything that can be wrong with the files is known: only now the old tables go.
  rebuilt_database out;
  auto aside = node_database::put_aside(connection_, identity());
  if (!aside)
    return pass_failure(aside);
  out.old_schema = std::move(*aside);
  auto database = node_database::open(connection_, identity(), node_database::if_empty::create);
  if (!database)
    return pass_failure(database);
  // First of all, so that a start after a crash in the middle sees every file, too. Their records correct
  // them.
  if (auto added = (*database)->add_file_spaces(*linked); !added)
    return pass_failure(added);
  log_recovery run(disk_, **database, *log, {log_gaps::report, on_progress});
  if (auto done = run.run(); !done)
    return pass_failure(done);
  if (auto kept = keep_linked_paths(**database, *linked); !kept)
    return pass_failure(kept);
  out.report = run.report();
  out.gaps = run.gaps();
  return out;
}

namespace {

failure with_old_server(failure why, const std::string& old_server) {
  if (!old_server.empty())
    why.message += fmt::format("; the old server's files are in {}", old_server);
  return why;
}

} // namespace

result<rebuild_outcome> rebuild_database(disk& disk, const rebuild_options& options) {
  auto settings = settings_of(options.node);
  if (!settings)
    return pass_failure(settings);
  rebuild_outcome out;
  if (options.new_server && settings->database.empty()) {
    auto aside = put_server_aside(settings->data_directory);
    if (!aside)
      return pass_failure(aside);
    out.old_server = std::move(*aside);
  }
  auto store = node_store::open(disk, std::move(*settings));
  if (!store)
    return tl::unexpected(with_old_server(std::move(store.error()), out.old_server));
  auto rebuilt = (*store)->rebuild(options.on_progress);
  if (!rebuilt)
    return tl::unexpected(with_old_server(std::move(rebuilt.error()), out.old_server));
  out.database = std::move(*rebuilt);
  return out;
}

} // namespace cairn
