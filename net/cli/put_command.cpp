#include "core/clock.hpp"
#include "net/cli/upload.hpp"
#include "net/cli/upload_journal.hpp"
#include "net/size_text.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

namespace {

constexpr std::uint64_t min_part_bytes = 1U << 20U;
constexpr std::size_t max_questions_under_way = 16;

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

/// What an earlier run noted of a part may be true no more: the node may have been set up anew or from a
/// backup, or be another one of the same name.
/// @param meta that it must have; null = any
/// @returns what is wrong with it, or nothing
std::string compare(const stored_part& noted, const retrieve_reply& held, const segment_info& segment,
                    const metadata* meta) {
  if (held.result != errc::success)
    return fmt::format("of its part {} the node says: {}", noted.number, held.error_message);
  const auto is_it = held.segment.collection == segment.collection && held.segment.key == segment.key
                     && static_cast<std::uint64_t>(held.file.size_bytes) == noted.size_bytes
                     && (noted.md5.empty() || to_hex(held.file.md5) == noted.md5);
  if (!is_it)
    return fmt::format("the node holds another part {} than was sent", noted.number);
  return meta == nullptr || held.meta == *meta ? std::string{} : "it has other metadata";
}

/// Asks the node for each part that an earlier run noted.
/// @returns what is not as it was noted, empty = all is; or the exit code after a failure that was reported
tl::expected<std::string, exit_code> find_difference(const context& where, client& node,
                                                     const upload_journal& journal, segment_info segment,
                                                     const metadata& meta) {
  const auto& parts = journal.parts();
  segment.version = *journal.version();
  std::deque<pending_reply<retrieve_reply>> under_way;
  std::size_t asked = 0;
  for (const auto& part : parts) {
    for (; asked < parts.size() && under_way.size() < max_questions_under_way; ++asked) {
      retrieve_start question;
      question.segment = {segment.version, parts[asked].number, segment.segment_num, {}};
      if (parts[asked].size_bytes != 0)
        question.range = {0, 0}; // one byte shows that its file is there as well
      under_way.push_back(node.send<retrieve_reply>(std::move(question)));
    }
    const auto reply = under_way.front()();
    under_way.pop_front();
    if (!reply)
      return tl::unexpected(report(where.out, reply.error()));
    if (reply->result != errc::success && reply->result != errc::not_found && reply->result != errc::damaged)
      return tl::unexpected(report(where.out, reply->result, reply->error_message));
    auto difference = compare(part, *reply, segment, &part == &parts.front() ? &meta : nullptr);
    if (!difference.empty()) {
      for (auto& other : under_way)
        (void)other();
      return difference;
    }
  }
  return std::string{};
}

/// Passes over what an earlier run has stored. @returns the number for the next part, or the exit code after
/// a failure that was reported
tl::expected<std::int32_t, exit_code> resume(const context& where, client& node, upload_journal& journal,
                                             source& from, progress& bar, stored& out) {
  out.segment.version = *journal.version();
  std::int32_t next = 1;
  for (const auto& part : journal.parts()) {
    if (auto why = from.skip(part.size_bytes)) {
      where.out.error(*why);
      return tl::unexpected(exit_code::failed);
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
      return tl::unexpected(code);
    next = open + 1;
  }
  where.out.note(fmt::format("going on with version {} after {} parts, {}", out.segment.version.value,
                             out.parts, human_size(out.size_bytes)));
  return next;
}

/// Goes on with the version of an earlier run if the node still has what that run sent, else begins one.
/// @returns as resume()
tl::expected<std::int32_t, exit_code> begin(const context& where, client& node, upload_journal& journal,
                                            const metadata& meta, source& from, progress& bar, stored& out) {
  if (journal.version() && from.size_bytes()) {
    const auto difference = find_difference(where, node, journal, out.segment, meta);
    if (!difference)
      return tl::unexpected(difference.error());
    if (difference->empty())
      return resume(where, node, journal, from, bar, out);
    where.out.error(fmt::format("cannot go on with version {}: {}; sending all of it anew",
                                journal.version()->value, *difference));
  }
  journal.begin(out.segment.version);
  return 1;
}

/// Looks whether readers get what was sent.
exit_code confirm(const context& where, client& node, upload_journal& journal, const stored& sent) {
  const auto& segment = sent.segment;
  lookup question;
  question.collection = segment.collection;
  question.key = segment.key;
  question.version = segment.version;
  const auto found = node.call<lookup_reply>(std::move(question));
  if (!found)
    return report(where.out, found.error());
  if (found->result == errc::not_found) {
    journal.remove(); // nothing makes it visible any more
    return report(where.out, errc::not_found,
                  fmt::format("version {} was deleted or aborted while it was sent: run the same command "
                              "again",
                              segment.version.value));
  }
  if (found->result != errc::success)
    return report(where.out, found->result, found->error_message);
  const auto bytes = static_cast<std::uint64_t>(found->file.size_bytes);
  if (bytes == sent.size_bytes) {
    journal.remove();
    return exit_code::done;
  }
  // A version that is known to be wrong must not be what readers get.
  journal.remove();
  auto code = exit_code::failed;
  if (!send_step<conjoined_action::abort>(where, node, segment, code))
    where.out.error(fmt::format("version {} stays visible: remove it", segment.version.value));
  return report(where.out, errc::damaged,
                fmt::format("the node has {} bytes of version {}, {} were sent: run the same command again",
                            bytes, segment.version.value, sent.size_bytes));
}

exit_code put_parts(const context& where, client& node, const put_options& options, std::uint64_t part_bytes,
                    const metadata& meta, source& from, stored& out) {
  const auto total = from.size_bytes();
  const auto absolute = options.file == "-" ? options.file : std::filesystem::absolute(options.file).string();
  upload_journal journal(fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", node.node().cluster, node.node().node,
                                     options.collection, options.key, absolute, total.value_or(0),
                                     from.modified_ns(), part_bytes));
  out.segment = new_segment(node, options);
  progress bar("put " + options.key, total, !where.out.is_json());
  const auto first = begin(where, node, journal, meta, from, bar, out);
  if (!first)
    return first.error();

  auto code = exit_code::failed;
  if (!send_step<conjoined_action::start>(where, node, out.segment, code))
    return code;
  auto number = *first;
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
    journal.add({out.segment.conjoined_part, bytes, to_hex(job.file().md5)});
    out.size_bytes += bytes;
    ++out.parts;
    is_complete = bytes < part_bytes || (total && out.size_bytes >= *total);
  }
  if (!send_step<conjoined_action::finish>(where, node, out.segment, code))
    return code;
  return confirm(where, node, journal, out);
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
