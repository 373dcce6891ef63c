#include "core/digest.hpp"
#include "net/cli/command.hpp"
#include "net/cli/progress.hpp"
#include "net/size_text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <random>
#include <tuple>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
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

/// What a signal that ends the process must not leave behind. Nobody else ever has its name, so that it may
/// stay here when the file is done.
std::array<char, PATH_MAX> unfinished_path{};

void remove_unfinished(int signal_number) {
  ::unlink(unfinished_path.data());
  ::raise(signal_number); // ends the process once this returns
}

/// Before the file is made. Signals that are ignored stay so.
void remove_at_signal(const std::string& path) {
  path.copy(unfinished_path.data(), unfinished_path.size() - 1);
  for (const auto number : {SIGHUP, SIGINT, SIGTERM}) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL)
      continue;
    action.sa_handler = remove_unfinished;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(number, &action, nullptr);
  }
}

/// Why an output cannot be.
struct refusal {
  exit_code code = exit_code::failed;
  std::string message;
};

/// Standard output; or a file, which changes only when all of its new bytes are there; or a device, FIFO or
/// the like, which takes them as they come.
class sink {
public:
  sink() = default;
  sink(const sink&) = delete;
  sink& operator=(const sink&) = delete;
  ~sink() {
    if (fd_ >= 0 && fd_ != STDOUT_FILENO)
      ::close(fd_);
    if (!partial_.empty())
      ::unlink(partial_.c_str()); // nobody said it is whole
  }

  /// Looks what there is, and touches nothing.
  std::optional<refusal> aim(const std::string& path) {
    path_ = path;
    if (path == "-")
      return {};
    struct stat about {};
    if (::stat(path.c_str(), &about) == 0)
      existing_ = about;
    else if (errno != ENOENT)
      return refusal{exit_code::failed, cannot_write()};
    struct stat own {};
    if (existing_ && ::fstat(STDOUT_FILENO, &own) == 0 && own.st_dev == about.st_dev
        && own.st_ino == about.st_ino) {
      path_ = "-"; // /dev/stdout, say: it may be a file that others write to as well
      return {};
    }
    if (existing_ ? S_ISDIR(existing_->st_mode) : path.empty() || path.back() == '/')
      return refusal{exit_code::usage, fmt::format("\"{}\" is no file's name: -o wants one", path)};
    if (!existing_ || S_ISREG(existing_->st_mode))
      target_ = behind_links(path);
    return {};
  }
  [[nodiscard]] bool is_standard_output() const { return path_ == "-"; }
  std::optional<std::string> open() {
    if (is_standard_output()) {
      fd_ = STDOUT_FILENO;
      return {};
    }
    if (target_.empty()) {
      fd_ = ::open(path_.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
      return fd_ < 0 ? std::optional(cannot_write()) : std::nullopt;
    }
    std::random_device random;
    const auto partial =
      (target_.parent_path() / fmt::format(".cairn-get-{:08x}{:08x}", random(), random())).string();
    remove_at_signal(partial);
    // Until it has the old file's owner and mode, nobody else may read what may be secret.
    fd_ = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, existing_ ? 0600 : 0666);
    if (fd_ < 0)
      return fmt::format("cannot make a file beside {}: {}", path_, std::strerror(errno));
    partial_ = partial;
    return {};
  }
  std::optional<std::string> write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        return cannot_write();
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }
  /// All bytes were written: the file gets its name.
  std::optional<std::string> finish() {
    if (fd_ == STDOUT_FILENO)
      return {};
    if (!partial_.empty() && existing_)
      take_over(*existing_);
    if (::close(std::exchange(fd_, -1)) != 0)
      return cannot_write();
    if (!partial_.empty() && ::rename(partial_.c_str(), target_.c_str()) != 0)
      return cannot_write();
    partial_.clear();
    return {};
  }

private:
  [[nodiscard]] std::string cannot_write() const {
    return fmt::format("cannot write {}: {}", path_, std::strerror(errno));
  }
  /// The file that a name stands for, also one that is not there yet.
  static std::filesystem::path behind_links(const std::filesystem::path& name) {
    constexpr int max_links = 40; // as the kernel's
    std::error_code error;
    auto target = name;
    for (int links = 0; links < max_links && std::filesystem::is_symlink(target, error); ++links)
      target = target.parent_path() / std::filesystem::read_symlink(target, error);
    return target;
  }
  /// Owner and mode of the file that it replaces, as far as this user and file system can.
  void take_over(const struct stat& from) const {
    constexpr mode_t permissions = 0777;
    std::ignore = ::fchown(fd_, from.st_uid, from.st_gid);
    std::ignore = ::fchmod(fd_, from.st_mode & permissions);
  }

  std::string path_;                    ///< as the user gave it
  std::optional<struct stat> existing_; ///< what is there already
  std::filesystem::path target_;        ///< the file to replace; empty = written in place
  std::string partial_;                 ///< has the bytes until then; empty = none
  int fd_ = -1;
};

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
