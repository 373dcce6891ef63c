#include "core/clock.hpp"
#include "core/digest.hpp"
#include "net/cli/command.hpp"
#include "net/size_text.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

std::unique_ptr<client> connect(const context& where, exit_code& code) {
  client_options options;
  options.node = where.node.node;
  auto connected = client::connect(where.net.wire(), where.node.host, options);
  if (!connected) {
    code = report(where.out, connected.error());
    return nullptr;
  }
  return std::move(*connected);
}

exit_code report(output& out, const call_failure& failure) {
  out.error(failure.message);
  return failure.what == call_error::not_reachable ? exit_code::not_reachable : exit_code::failed;
}

exit_code report(output& out, errc code, const std::string& message) {
  out.error(fmt::format("{}: {}", to_string(code), message));
  switch (code) {
    case errc::not_found: return exit_code::not_found;
    case errc::damaged: return exit_code::damaged;
    default: return exit_code::failed;
  }
}

namespace {

/// Asks for page after page. @param go_on sets the question's marker from the last entry
template <class Question, class GoOn>
exit_code list_pages(const context& where, client& node, Question question, bool with_version, GoOn go_on) {
  auto code = exit_code::failed;
  for (;;) {
    const auto page = take(where.out, node.call<list_reply>(question), code);
    if (!page)
      return code;
    for (const auto& entry : page->keys)
      where.out.result(
        {{"key", entry.key},
         {"version", entry.version.value},
         {"timestamp", time_text(entry.timestamp)},
         {"size_bytes", entry.size_bytes}},
        fmt::format("{:>10}  {}  {}{}", human_size(static_cast<std::uint64_t>(entry.size_bytes)),
                    time_text(entry.timestamp).substr(0, 19),
                    with_version ? fmt::format("{:>19}  ", entry.version.value) : "", entry.key));
    if (!page->is_truncated)
      return exit_code::done;
    go_on(question, page->keys.back());
  }
}

} // namespace

exit_code list(const context& where, const list_options& options) {
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;
  if (options.versions) {
    list_versions question;
    question.collection = collection_id{options.collection};
    question.prefix = options.prefix;
    return list_pages(where, *node, std::move(question), true,
                      [](list_versions& next, const listed_key& last) {
                        next.key_marker = last.key;
                        next.version_marker = last.version;
                      });
  }
  list_keys question;
  question.collection = collection_id{options.collection};
  question.prefix = options.prefix;
  return list_pages(where, *node, std::move(question), false,
                    [](list_keys& next, const listed_key& last) { next.marker = last.key; });
}

exit_code remove(const context& where, const remove_options& options) {
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;
  lookup question; // a key that is not there is the user's slip, not a delete
  question.collection = collection_id{options.collection};
  question.key = options.key;
  question.version = unified_id{options.version};
  const auto found = take(where.out, node->call<lookup_reply>(std::move(question)), code);
  if (!found)
    return code;
  if (found->is_tombstone)
    return report(where.out, errc::not_found, "that version is a delete itself");
  destroy_key message;
  message.collection = collection_id{options.collection};
  message.key = options.key;
  node->saw(found->version); // a tombstone deletes what has a smaller unified id
  message.version = node->next_unified_id();
  message.deletes = unified_id{options.version};
  message.timestamp = now_us();
  message.segment_num = 1;
  message.nodes.source = node->node().node;
  const auto done = take(where.out, node->call<archive_reply>(std::move(message)), code);
  if (!done)
    return code;
  where.out.result({{"key", options.key}, {"tombstone", done->version.value}, {"deletes", options.version}},
                   options.version == 0
                     ? fmt::format("{}  deleted", options.key)
                     : fmt::format("{}  version {} deleted", options.key, options.version));
  return exit_code::done;
}

exit_code add_node(const context& where, const node_options& options) {
  cairn::add_node message;
  message.node = node_id{options.number};
  message.name = options.name;
  if (!options.address.empty()) {
    const auto address = parse_address(options.address);
    if (!address) {
      where.out.error(address.error().message);
      return exit_code::usage;
    }
    message.host = address->host;
    message.port = address->port;
  }
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;
  if (!take(where.out, node->call<archive_reply>(std::move(message)), code))
    return code;
  where.out.result({{"node", options.number}, {"name", options.name}, {"address", options.address}},
                   fmt::format("node {}  {}  added", options.number, options.name));
  return exit_code::done;
}

exit_code list_nodes(const context& where) {
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;
  const auto known = take(where.out, node->call<nodes_reply>(cairn::list_nodes{}), code);
  if (!known)
    return code;
  for (const auto& entry : known->nodes) {
    const auto address = entry.host.empty()
                           ? std::string{}
                           : to_string(host_port{entry.host, static_cast<std::uint16_t>(entry.port)});
    where.out.result({{"node", entry.node.value}, {"name", entry.name}, {"address", address}},
                     fmt::format("{:>5}  {:<20} {}", entry.node.value, entry.name, address));
  }
  return exit_code::done;
}

namespace {

/// Null when the log does not tell it any more.
nlohmann::json receipt_json(const receipt& proof) {
  if (proof == receipt{})
    return nullptr;
  return {{"lsn", proof.lsn.value},
          {"value_file", proof.value_file.value},
          {"offset_bytes", proof.offset_bytes},
          {"length_bytes", proof.length_bytes},
          {"crc32c", proof.crc32c}};
}

} // namespace

exit_code stat(const context& where, const stat_options& options) {
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;
  lookup question;
  question.collection = collection_id{options.collection};
  question.key = options.key;
  question.version = unified_id{options.version};
  question.with_receipts = true;
  const auto version = take(where.out, node->call<lookup_reply>(std::move(question)), code);
  if (!version)
    return code;

  nlohmann::json segments = nlohmann::json::array();
  for (const auto& s : version->segments)
    segments.push_back({{"conjoined_part", s.conjoined_part},
                        {"segment_num", s.segment_num},
                        {"sequences", s.sequence_count},
                        {"size_bytes", s.size_bytes},
                        {"value_file", s.value_file.value},
                        {"offset_bytes", s.offset_bytes},
                        {"receipt", receipt_json(s.proof)}});
  const nlohmann::json object{{"key", options.key},
                              {"collection", options.collection},
                              {"version", version->version.value},
                              {"timestamp", time_text(version->timestamp)},
                              {"size_bytes", version->file.size_bytes},
                              {"md5", to_hex(version->file.md5)},
                              {"adler32", version->file.adler32},
                              {"is_tombstone", version->is_tombstone},
                              {"meta", version->meta},
                              {"segments", segments}};
  where.out.result(object, "key        " + options.key);
  where.out.note(fmt::format("version    {}", version->version.value));
  where.out.note("archived   " + time_text(version->timestamp));
  if (version->is_tombstone) {
    where.out.note("           it is a delete");
    return exit_code::done;
  }
  where.out.note(fmt::format("size       {} ({} bytes)",
                             human_size(static_cast<std::uint64_t>(version->file.size_bytes)),
                             version->file.size_bytes));
  where.out.note("md5        " + to_hex(version->file.md5));
  where.out.note(fmt::format("adler32    {:08x}", version->file.adler32));
  for (const auto& [key, value] : version->meta)
    where.out.note(fmt::format("meta       {}={}", key, value));
  for (const auto& s : version->segments) {
    where.out.note(
      fmt::format("segment    {}{}: {} sequence{}, begins in value file {} at byte {}", s.segment_num,
                  s.conjoined_part == 0 ? "" : fmt::format(" of part {}", s.conjoined_part), s.sequence_count,
                  s.sequence_count == 1 ? "" : "s", s.value_file.value, s.offset_bytes));
    if (s.proof != receipt{})
      where.out.note(fmt::format(
        "receipt    record {} of {} bytes in value file {} at byte {}, CRC-32C {:08x}", s.proof.lsn.value,
        s.proof.length_bytes, s.proof.value_file.value, s.proof.offset_bytes, s.proof.crc32c));
  }
  return exit_code::done;
}

namespace {

constexpr const char* yes_no(bool b) { return b ? "yes" : "no"; }

} // namespace

exit_code status(const context& where) {
  auto code = exit_code::failed;
  std::size_t spawned = 0;
  if (where.node.node.empty()) {
    const auto host = ask_host(where, code);
    if (!host)
      return code;
    spawned = static_cast<std::size_t>(
      std::count_if(host->nodes.begin(), host->nodes.end(), [](const auto& n) { return n.is_spawned; }));
    if (spawned == host->nodes.size())
      return show_host(where, *host);
  }
  auto node = connect(where, code);
  if (!node)
    return code;
  const auto s = take(where.out, node->call<status_reply>(get_status{}), code);
  if (!s)
    return code;
  nlohmann::json spaces = nlohmann::json::array();
  for (const auto& space : s->spaces)
    spaces.push_back({{"space", space.space.value},
                      {"purpose", space.purpose},
                      {"path", space.path},
                      {"available_bytes", space.available_bytes},
                      {"total_bytes", space.total_bytes}});
  const auto& r = s->recovery;
  const nlohmann::json object{{"node", s->node},
                              {"cluster", s->cluster},
                              {"version", s->program_version},
                              {"phase", to_string(s->phase)},
                              {"waits_for", s->waits_for},
                              {"uptime_seconds", s->uptime_seconds},
                              {"clients", s->clients},
                              {"active_segments", s->active_segments},
                              {"completions_waiting", s->completions_waiting},
                              {"oldest_wait_us", s->oldest_wait_us},
                              {"rounds", s->rounds},
                              {"archives", s->archives},
                              {"bytes_archived", s->bytes_archived},
                              {"position", s->position.value},
                              {"value_file", s->value_file.value},
                              {"value_file_bytes", s->value_file_bytes},
                              {"has_space", s->has_space},
                              {"spaces", spaces},
                              {"database", s->database},
                              {"actor_restarts", s->actor_restarts},
                              {"recovery",
                               {{"value_files", r.value_files},
                                {"files_closed", r.files_closed},
                                {"records_replayed", r.records_replayed},
                                {"segments_cancelled", r.segments_cancelled},
                                {"torn_bytes", r.torn_bytes},
                                {"damaged_regions", r.damaged_regions},
                                {"unknown_files", r.unknown_files}}}};
  where.out.result(object, fmt::format("{} of cluster {}: {}{}", s->node, s->cluster, to_string(s->phase),
                                       s->waits_for.empty() ? "" : ", waits for " + s->waits_for));
  where.out.note(fmt::format("up          {} s, cairnd {}, {} client{}", s->uptime_seconds,
                             s->program_version, s->clients, s->clients == 1 ? "" : "s"));
  where.out.note(fmt::format("database    {}, at log position {}", s->database, s->position.value));
  where.out.note(fmt::format("archived    {} since the start, {} in {} rounds", s->archives,
                             human_size(s->bytes_archived), s->rounds));
  where.out.note(fmt::format(
    "under way   {} active segments, {} waiting for durability{}", s->active_segments, s->completions_waiting,
    s->oldest_wait_us == 0 ? "" : fmt::format(" (longest {} ms)", s->oldest_wait_us / 1000)));
  where.out.note(
    fmt::format("writing     value file {}, {}", s->value_file.value, human_size(s->value_file_bytes)));
  for (const auto& space : s->spaces) {
    const auto used =
      space.total_bytes == 0
        ? 0.0
        : 100.0 - 100.0 * static_cast<double>(space.available_bytes) / static_cast<double>(space.total_bytes);
    where.out.note(fmt::format("space {:<5} {} free of {} ({:.0f} % used)  {}  {}", space.space.value,
                               human_size(space.available_bytes), human_size(space.total_bytes), used,
                               space.purpose, space.path));
  }
  where.out.note(fmt::format("takes       archives: {}", yes_no(s->has_space)));
  where.out.note(
    fmt::format("last start  {} value files, {} closed, {} records replayed, {} segments cancelled, {} torn, "
                "{} damaged regions",
                r.value_files, r.files_closed, r.records_replayed, r.segments_cancelled,
                human_size(static_cast<std::uint64_t>(r.torn_bytes)), r.damaged_regions));
  if (spawned != 0)
    where.out.note(
      fmt::format("beside it   {} spawned node{} in the same process", spawned, spawned == 1 ? "" : "s"));
  return exit_code::done;
}

} // namespace cairn::cli
