#include "core/clock.hpp"
#include "net/cli/upload.hpp"
#include "net/cli/upload_journal.hpp"
#include "net/size_text.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

namespace {

constexpr std::uint64_t min_part_bytes = 1U << 20U;

std::optional<metadata> parse_meta(output& out, const std::vector<std::string>& pairs) {
  metadata meta;
  for (const auto& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      out.error(fmt::format("--meta \"{}\" is not of the form key=value", pair));
      return std::nullopt;
    }
    meta.insert_or_assign(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return meta;
}

/// A version of which this program sends the only segment (of each part).
segment_info new_segment(client& node, const put_options& options) {
  segment_info segment;
  segment.collection = collection_id{options.collection};
  segment.key = options.key;
  segment.version = node.next_unified_id();
  segment.timestamp = now_us();
  segment.segment_num = 1;
  return segment;
}

/// What a put has stored.
struct stored {
  segment_info segment;
  std::uint64_t size_bytes = 0;
  std::int32_t parts = 0; ///< 0 = not conjoined
  nlohmann::json details; ///< of one archive: digest and receipt
};

exit_code put_whole(const context& where, client& node, const put_options& options, metadata meta,
                    source& from, stored& out) {
  out.segment = new_segment(node, options);
  upload job(node, where.out, out.segment, std::move(meta));
  progress bar("put " + options.key, from.size_bytes(), !where.out.is_json());
  const auto code = job.run(from, bar);
  if (job.was_cancelled())
    return report(where.out, errc::cancelled, "the node gave the archive up: put it again");
  const auto& proof = job.proof();
  out.size_bytes = static_cast<std::uint64_t>(job.file().size_bytes);
  out.details = {{"md5", to_hex(job.file().md5)},
                 {"sequences", job.sequence_count()},
                 {"receipt",
                  {{"lsn", proof.lsn.value},
                   {"value_file", proof.value_file.value},
                   {"offset_bytes", proof.offset_bytes},
                   {"length_bytes", proof.length_bytes},
                   {"crc32c", proof.crc32c},
                   {"round", proof.round.value}}}};
  return code;
}

/// Sends a step of the conjoined archive.
template <conjoined_action Action>
bool send_step(const context& where, client& node, const segment_info& segment, exit_code& code) {
  conjoined_step<Action> step;
  step.collection = segment.collection;
  step.key = segment.key;
  step.version = segment.version;
  step.timestamp = segment.timestamp;
  return take(where.out, node.call<archive_reply>(std::move(step)), code).has_value();
}

/// Passes over what an earlier run has stored. @returns the number for the next part, or nothing after a
/// failure
std::optional<std::int32_t> resume(const context& where, client& node, upload_journal& journal, source& from,
                                   progress& bar, stored& out) {
  out.segment.version = *journal.version();
  std::int32_t next = 1;
  for (const auto& part : journal.parts()) {
    if (auto why = from.skip(part.size_bytes)) {
      where.out.error(*why);
      return std::nullopt;
    }
    bar.advance(part.size_bytes);
    out.size_bytes += part.size_bytes;
    ++out.parts;
    next = part.number + 1;
  }
  if (const auto open = journal.open_part(); open != 0) {
    // Stored or not: cancelled it is neither. Numbers only order the parts, so its bytes go under the next
    // one.
    archive_key_cancel cancel;
    cancel.key = {out.segment.version, open, out.segment.segment_num, {}};
    auto code = exit_code::failed;
    if (!take(where.out, node.call<archive_reply>(std::move(cancel)), code))
      return std::nullopt;
    next = open + 1;
  }
  where.out.note(fmt::format("going on with version {} after {} parts, {}", out.segment.version.value,
                             out.parts, human_size(out.size_bytes)));
  return next;
}

exit_code put_parts(const context& where, client& node, const put_options& options, std::uint64_t part_bytes,
                    const metadata& meta, source& from, stored& out) {
  const auto total = from.size_bytes();
  const auto absolute = options.file == "-" ? options.file : std::filesystem::absolute(options.file).string();
  upload_journal journal(fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", node.node().cluster, node.node().node,
                                     options.collection, options.key, absolute, total.value_or(0),
                                     from.modified_ns(), part_bytes));
  out.segment = new_segment(node, options);
  std::int32_t number = 1;
  progress bar("put " + options.key, total, !where.out.is_json());
  if (journal.version() && total) {
    const auto next = resume(where, node, journal, from, bar, out);
    if (!next)
      return exit_code::failed;
    number = *next;
  } else {
    journal.begin(out.segment.version);
  }

  auto code = exit_code::failed;
  if (!send_step<conjoined_action::start>(where, node, out.segment, code))
    return code;
  for (bool is_complete = total && out.parts > 0 && out.size_bytes >= *total; !is_complete;) {
    out.segment.conjoined_part = number++;
    journal.begin_part(out.segment.conjoined_part);
    upload job(node, where.out, out.segment, out.parts == 0 ? meta : metadata{}, part_bytes);
    code = job.run(from, bar);
    if (job.was_cancelled())
      return report(where.out, errc::cancelled, "the node gave a part up: run the same command again");
    if (code != exit_code::done)
      return code;
    const auto bytes = static_cast<std::uint64_t>(job.file().size_bytes);
    journal.add({out.segment.conjoined_part, bytes});
    out.size_bytes += bytes;
    ++out.parts;
    is_complete = bytes < part_bytes || (total && out.size_bytes >= *total);
  }
  if (!send_step<conjoined_action::finish>(where, node, out.segment, code))
    return code;
  journal.remove();
  return exit_code::done;
}

} // namespace

exit_code put(const context& where, const put_options& given) {
  auto options = given;
  if (options.key.empty())
    options.key =
      options.file == "-" ? std::string{} : std::filesystem::path(options.file).filename().string();
  if (options.key.empty()) {
    where.out.error("standard input has no name: give one with --key");
    return exit_code::usage;
  }
  auto meta = parse_meta(where.out, options.meta);
  if (!meta)
    return exit_code::usage;
  std::uint64_t part_bytes = 0;
  if (!options.part_size.empty()) {
    const auto parsed = parse_size(options.part_size);
    if (!parsed || *parsed < min_part_bytes) {
      where.out.error(parsed ? "--part-size must be at least 1MiB" : parsed.error().message);
      return exit_code::usage;
    }
    part_bytes = *parsed;
  }
  source from;
  if (auto why = from.open(options.file)) {
    where.out.error(*why);
    return exit_code::failed;
  }
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;

  const auto begin = std::chrono::steady_clock::now();
  stored done;
  code = part_bytes == 0 ? put_whole(where, *node, options, std::move(*meta), from, done)
                         : put_parts(where, *node, options, part_bytes, *meta, from, done);
  if (code != exit_code::done)
    return code;
  nlohmann::json object{
    {"key", options.key},
    {"collection", options.collection},
    {"version", done.segment.version.value},
    {"size_bytes", done.size_bytes},
    {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()}};
  if (done.parts == 0)
    object.update(done.details);
  else
    object["parts"] = done.parts;
  const auto how = done.parts == 0 ? fmt::format("durable as record {} in value file {}",
                                                 done.details["receipt"]["lsn"].get<std::uint64_t>(),
                                                 done.details["receipt"]["value_file"].get<std::int32_t>())
                                   : fmt::format("durable in {} parts", done.parts);
  where.out.result(object, fmt::format("{}  {}  version {}  {}", options.key, human_size(done.size_bytes),
                                       done.segment.version.value, how));
  return exit_code::done;
}

} // namespace cairn::cli
