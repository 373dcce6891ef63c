#include "core/store/node_access.hpp"
#include "core/verify/verify.hpp"
#include "net/cli/command.hpp"
#include "net/cli/progress.hpp"
#include "net/cli/verify_state.hpp"
#include "net/size_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

namespace {

void show(output& out, const verify_problem& problem) {
  nlohmann::json object{{"problem", problem.what}};
  std::string line = "PROBLEM";
  if (!problem.file.empty()) {
    object["file"] = problem.file;
    object["offset_bytes"] = problem.offset_bytes;
    line += fmt::format(" {} at byte {}", problem.file, problem.offset_bytes);
  }
  const auto& segment = problem.segment;
  if (!segment.key.empty()) {
    object["collection"] = segment.collection.value;
    object["key"] = segment.key;
    line += fmt::format(" key={} collection={}", segment.key, segment.collection.value);
  }
  if (segment.version != unified_id{}) {
    object["version"] = segment.version.value;
    object["segment_num"] = segment.segment_num;
    object["conjoined_part"] = segment.conjoined_part;
    line += fmt::format(" version={} segment_num={}", segment.version.value, segment.segment_num);
  }
  if (problem.sequence_num >= 0) {
    object["sequence"] = problem.sequence_num;
    line += fmt::format(" sequence={}", problem.sequence_num);
  }
  out.result(object, fmt::format("{}: {}", line, problem.what));
}

} // namespace

exit_code verify(output& out, const offline_options& options) {
  log_to_stderr();
  verify_options what;
  if (!options.rate.empty()) {
    const auto rate = parse_size(options.rate);
    if (!rate) {
      out.error(fmt::format("--rate: {}", rate.error().message));
      return exit_code::usage;
    }
    what.bytes_per_second = *rate;
  }
  const auto node = access_node(real_disk(), {options.data_directory, options.database, {}});
  if (!node)
    return report(out, node.error().code, node.error().message);
  auto state = verify_state::open(options.state, node->identity);
  if (!state)
    return report(out, state.error().code, state.error().message);
  if (!state->files().empty())
    out.note(fmt::format("going on: {} value files were verified before", state->files().size()));

  progress shown("verify", std::nullopt, !out.is_json());
  what.verified_before = state->files();
  what.on_problem = [&](const verify_problem& problem) { show(out, problem); };
  what.on_progress = [&](std::uint64_t done, std::uint64_t total) { shown.advance_to(done, total); };
  auto kept = result<void>{};
  what.on_file = [&](value_file_id file, bool for_good, const verify_counts& counts) {
    if (for_good && kept)
      kept = state->add(file, counts);
  };
  auto sum = state->counts();
  const auto found = verify_node(real_disk(), node->spaces_root, node->database, node->identity, what);
  if (!found)
    return report(out, found.error().code, found.error().message);
  if (!kept)
    out.error(kept.error().message);
  state->finish();

  sum += *found;
  out.result(as_json(sum),
             fmt::format("{} value files, {}, {} records: {} sequences in use, {} garbage ({}), {} problems",
                         sum.files, human_size(sum.bytes), sum.records, sum.sequences, sum.garbage_records,
                         human_size(sum.garbage_bytes), sum.problems));
  if (sum.waiting_records != 0 && node->store)
    out.note(fmt::format("{} records are not in the database yet: the next start of the node replays them",
                         sum.waiting_records));
  return sum.problems == 0 ? exit_code::done : exit_code::damaged;
}

} // namespace cairn::cli
