#include "net/cli/verify_state.hpp"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

namespace {

constexpr auto kind = "cairn-verify 2";

/// Calls `each` with the name and the place of every count.
template <class Counts, class Each>
void for_each_count(Counts& counts, Each each) {
  each("files", counts.files);
  each("bytes", counts.bytes);
  each("records", counts.records);
  each("sequences", counts.sequences);
  each("garbage_records", counts.garbage_records);
  each("garbage_bytes", counts.garbage_bytes);
  each("waiting_records", counts.waiting_records);
  each("problems", counts.problems);
}

} // namespace

nlohmann::json as_json(const verify_counts& counts) {
  nlohmann::json object;
  for_each_count(counts, [&](const char* name, std::uint64_t count) { object[name] = count; });
  return object;
}

result<verify_state> verify_state::open(std::string path, const node_identity& identity) {
  verify_state state(std::move(path), identity);
  std::error_code error;
  if (state.path_.empty() || !std::filesystem::exists(state.path_, error))
    return state;
  // It is replaced, and removed in the end, which a device or a directory must not be.
  if (!std::filesystem::is_regular_file(state.path_, error))
    return fail(errc::invalid_message, fmt::format("{} is no file: name one, or none yet", state.path_));
  std::ifstream stored(state.path_);
  if (!stored)
    return fail(errc::storage_error, fmt::format("cannot read {}", state.path_));
  if (stored.peek() == std::ifstream::traits_type::eof()) // made, but nothing was done yet
    return state;
  try {
    const auto kept = nlohmann::json::parse(stored);
    if (kept.at("kind") != kind)
      return fail(errc::invalid_message,
                  fmt::format("{} was not written by this version of `cairn verify`: remove it, or name "
                              "another file",
                              state.path_));
    const node_identity of{kept.at("cluster"), kept.at("node"), node_id{kept.at("id").get<std::int32_t>()}};
    if (!(of == identity))
      return fail(errc::conflict, fmt::format("{} is about node {} of cluster {}", state.path_, of.node_name,
                                              of.cluster_name));
    for (const auto& file : kept.at("files"))
      state.files_.insert(value_file_id{file.get<std::int32_t>()});
    for_each_count(state.counts_,
                   [&](const char* name, std::uint64_t& count) { count = kept.at("counts").at(name); });
  } catch (const nlohmann::json::exception& wrong) {
    return fail(errc::invalid_message,
                fmt::format("{} is not what `cairn verify` keeps: remove it, or name another file: {}",
                            state.path_, wrong.what()));
  }
  return state;
}

result<void> verify_state::add(value_file_id file, const verify_counts& counts) {
  files_.insert(file);
  counts_ += counts;
  if (path_.empty())
    return {};
  auto files = nlohmann::json::array();
  for (const auto id : files_)
    files.push_back(id.value);
  const nlohmann::json kept{{"kind", kind},
                            {"cluster", identity_.cluster_name},
                            {"node", identity_.node_name},
                            {"id", identity_.id.value},
                            {"files", files},
                            {"counts", as_json(counts_)}};
  const auto written = path_ + ".new";
  std::ofstream out(written);
  out << kept << '\n';
  out.close(); // only now a full disk shows
  if (!out)
    return fail(errc::storage_error, fmt::format("cannot write {}", written));
  std::error_code error;
  std::filesystem::rename(written, path_, error);
  if (error)
    return fail(errc::storage_error, fmt::format("cannot write {}: {}", path_, error.message()));
  return {};
}

void verify_state::finish() const {
  std::error_code error;
  if (!path_.empty())
    std::filesystem::remove(path_, error);
}

} // namespace cairn::cli
