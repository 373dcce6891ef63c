#include "core/disk/disk.hpp"
#include "core/store/rebuild.hpp"
#include "net/cli/command.hpp"
#include "net/cli/progress.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

exit_code rebuild(output& out, const offline_options& options) {
  log_to_stderr();
  progress shown("rebuild", std::nullopt, !out.is_json(), progress::unit::records);
  rebuild_options what;
  what.node = {options.data_directory, options.database, {}};
  what.new_server = options.new_server;
  what.on_progress = [&](log_sequence_number position, log_sequence_number to) {
    shown.advance_to(position.value, to.value);
  };
  const auto done = rebuild_database(real_disk(), what);
  if (!done)
    return report(out, done.error().code, done.error().message);

  const auto& [made, old_server] = *done;
  const auto& found = made.report;
  const auto is_whole = found.damaged_regions == 0 && made.gaps == 0;
  out.result(
    {{"value_files", found.value_files},
     {"records", found.records_replayed},
     {"damaged_regions", found.damaged_regions},
     {"missing_parts_of_the_log", made.gaps},
     {"torn_bytes", found.torn_bytes},
     {"old_schema", made.old_schema},
     {"old_server", old_server}},
    fmt::format("rebuilt from {} value files: {} records, {} damaged regions, {} missing parts of the log",
                found.value_files, found.records_replayed, found.damaged_regions, made.gaps));
  if (!made.old_schema.empty())
    out.note(fmt::format("the old tables are in schema {}; when they are of no use any more: "
                         "DROP SCHEMA {} CASCADE",
                         made.old_schema, made.old_schema));
  if (!old_server.empty())
    out.note(fmt::format("the old server's files are in {}", old_server));
  if (!is_whole)
    out.error("what is damaged or missing is lost here; `cairn verify` lists it");
  return is_whole ? exit_code::done : exit_code::damaged;
}

} // namespace cairn::cli
