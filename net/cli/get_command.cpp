#include "core/digest.hpp"
#include "net/cli/command.hpp"
#include "net/cli/progress.hpp"
#include "net/cli/sink.hpp"
#include "net/size_text.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace cairn::cli {

namespace {

constexpr std::int32_t max_sequences_under_way = 4;

std::optional<byte_range> parse_range(const std::string& text) {
  byte_range range;
  if (text.empty())
    return range;
  const auto dash = text.find('-');
  const auto read = [](std::string_view digits, std::uint64_t& into) {
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), into);
    return parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size();
  };
  const std::string_view view(text);
  if (dash == std::string::npos || !read(view.substr(0, dash), range.first))
    return std::nullopt;
  if (dash + 1 < view.size() && !read(view.substr(dash + 1), range.last)) // "100-" reads on to the end
    return std::nullopt;
  return range.first <= range.last ? std::optional(range) : std::nullopt;
}

/// Fetches one version's bytes in order, part by part.
class download {
public:
  download(client& node, output& out, sink& to, progress& bar) : node_(node), out_(out), to_(to), bar_(bar) {}

  /// @param range within the whole object
  exit_code run(const lookup_reply& version, const byte_range& range) {
    std::map<std::int32_t, const held_segment*>
      parts; // any share of a part will do: here each is the whole part
    for (const auto& segment : version.segments)
      parts.emplace(segment.conjoined_part, &segment);
    std::uint64_t begin = 0;
    for (const auto& [number, part] : parts) {
      const auto size = static_cast<std::uint64_t>(part->size_bytes);
      const auto wanted = range == byte_range{} || (begin <= range.last && begin + size > range.first);
      if (wanted) {
        byte_range inside;
        if (range != byte_range{})
          inside = {std::max(range.first, begin) - begin, std::min(range.last, begin + size - 1) - begin};
        if (!fetch({version.version, part->conjoined_part, part->segment_num, {}}, inside))
          return code_;
      }
      begin += size;
    }
    return exit_code::done;
  }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] md5_digest md5() const { return whole_.digest(); }

private:
  bool fetch(const named_segment_key& key, const byte_range& range) {
    retrieve_start start;
    start.segment = key;
    start.range = range;
    auto first = take(out_, node_.call<retrieve_reply>(std::move(start)), code_);
    part_ = md5_hasher{};
    if (!first || !deliver(first->sequence))
      return false;
    std::deque<pending_reply<retrieve_reply>> under_way;
    auto next = first->first_sequence + 1;
    while (next <= first->last_sequence || !under_way.empty()) {
      while (next <= first->last_sequence && under_way.size() < max_sequences_under_way)
        under_way.push_back(node_.send<retrieve_reply>(retrieve_next{{}, first->retrieval, next++}));
      auto waiting = std::move(under_way.front());
      under_way.pop_front();
      auto reply = take(out_, waiting(), code_);
      if (!reply || !deliver(reply->sequence))
        return false;
    }
    if (range == byte_range{} && part_.digest() != first->file.md5) {
      out_.error("the bytes are not those that were archived");
      code_ = exit_code::damaged;
      return false;
    }
    return true;
  }

  bool deliver(const retrieved_sequence& sequence) {
    const auto bytes = sequence.data.bytes();
    if (bytes.size() == sequence.info.size_bytes && digest_payload(bytes).md5 != sequence.info.md5) {
      out_.error(fmt::format("sequence {} was damaged on the way", sequence.info.sequence_num));
      code_ = exit_code::damaged;
      return false;
    }
    whole_.update(bytes);
    part_.update(bytes);
    bytes_ += bytes.size();
    bar_.advance(bytes.size());
    if (auto why = to_.write(bytes)) {
      out_.error(*why);
      code_ = exit_code::failed;
      return false;
    }
    return true;
  }

  client& node_;
  output& out_;
  sink& to_;
  progress& bar_;
  md5_hasher whole_;
  md5_hasher part_;
  std::uint64_t bytes_ = 0;
  exit_code code_ = exit_code::failed;
};

} // namespace

exit_code get(const context& where, const get_options& options) {
  const auto range = parse_range(options.range);
  if (!range) {
    where.out.error(
      fmt::format("--range \"{}\" is not FIRST-LAST, e.g. 0-99 for the first hundred bytes", options.range));
    return exit_code::usage;
  }
  sink to;
  if (const auto refused = to.aim(options.file)) {
    where.out.error(refused->message);
    return refused->code;
  }
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;
  lookup question;
  question.collection = collection_id{options.collection};
  question.key = options.key;
  question.version = unified_id{options.version};
  const auto version = take(where.out, node->call<lookup_reply>(std::move(question)), code);
  if (!version)
    return code;
  const auto size = static_cast<std::uint64_t>(version->file.size_bytes);
  if (version->is_tombstone)
    return report(where.out, errc::not_found, "that version is a delete");
  if (!options.range.empty() && range->first >= size) {
    where.out.error(fmt::format("--range begins at byte {}, the object has {}", range->first, size));
    return exit_code::usage;
  }

  if (auto why = to.open()) {
    where.out.error(*why);
    return exit_code::failed;
  }
  if (to.is_standard_output())
    where.out.keep_stdout_for_data();
  const auto begin = std::chrono::steady_clock::now();
  const auto wanted = options.range.empty() ? size : std::min(range->last, size - 1) - range->first + 1;
  progress bar("get " + options.key, wanted, !where.out.is_json());
  download job(*node, where.out, to, bar);
  code = job.run(*version, options.range.empty() ? byte_range{} : *range);
  if (code != exit_code::done)
    return code;
  if (job.bytes() != wanted)
    return report(where.out, errc::damaged, "the bytes are not those that were archived");
  if (auto why = to.finish()) {
    where.out.error(*why);
    return exit_code::failed;
  }
  if (!to.is_standard_output()) {
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    where.out.result(
      {{"key", options.key},
       {"version", version->version.value},
       {"size_bytes", job.bytes()},
       {"md5", to_hex(job.md5())},
       {"file", options.file},
       {"seconds", seconds}},
      fmt::format("{}  {}  written to {}", options.key, human_size(job.bytes()), options.file));
  }
  return exit_code::done;
}

} // namespace cairn::cli
