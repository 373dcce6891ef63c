#include "net/bench/load.hpp"
#include "net/bench/process_usage.hpp"
#include "net/bench/reference.hpp"
#include "net/cli/command.hpp"
#include "net/endpoint.hpp"
#include "net/size_text.hpp"
#include "net/unique_middleman.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace cairn::cli {

namespace {

using namespace bench;
/// Of each part of the reference, before and after.
constexpr std::chrono::milliseconds max_reference_time{500};
constexpr double max_seconds = 86'400;

std::optional<load_mode> parse_mode(const std::string& text) {
  if (text == "put")
    return load_mode::put;
  if (text == "get")
    return load_mode::get;
  return text == "mixed" ? std::optional{load_mode::mixed} : std::nullopt;
}

/// What all processes of a node have taken up to now.
struct machine_use {
  process_usage node, database, client;
  bool has_database = false; ///< as processes of the node; one that is elsewhere cannot be looked at
  std::uint64_t rounds = 0;
};

class node_watch {
public:
  node_watch(client& node, pid_t process) : node_(node), process_(process) {}

  /// The node's files are on this machine, and its process can be looked at.
  [[nodiscard]] bool is_here() const { return process_ != 0; }

  machine_use now() {
    machine_use use;
    use.client = usage_of(::getpid());
    if (const auto status = node_.call<status_reply>(get_status{}); status)
      use.rounds = status->rounds;
    if (!is_here())
      return use;
    use.node = usage_of(process_);
    for (const auto process : descendants_of(process_)) {
      const auto each = usage_of(process);
      use.has_database = true;
      use.database.cpu += each.cpu;
      use.database.written_bytes += each.written_bytes;
    }
    return use;
  }

  /// A directory on the node's disk in which this process may write; empty = none.
  std::string directory() {
    const auto status = node_.call<status_reply>(get_status{});
    if (!status || !is_here())
      return {};
    for (const auto& space : status->spaces)
      if (::access(space.path.c_str(), W_OK | X_OK) == 0)
        return space.path;
    return {};
  }

private:
  client& node_;
  pid_t process_;
};

double us(latency_histogram::duration time) { return static_cast<double>(time.count()) / 1e3; }

nlohmann::json to_json(const latency_histogram& latency) {
  return {{"count", latency.count()},
          {"p50_us", us(latency.percentile(50))},
          {"p90_us", us(latency.percentile(90))},
          {"p99_us", us(latency.percentile(99))},
          {"max_us", us(latency.largest())}};
}

std::string to_text(const latency_histogram& latency) {
  return fmt::format("p50 {:.0f} us, p90 {:.0f} us, p99 {:.0f} us, max {:.0f} us", us(latency.percentile(50)),
                     us(latency.percentile(90)), us(latency.percentile(99)), us(latency.largest()));
}

double per_second(double count, std::chrono::duration<double> time) {
  return time.count() > 0 ? count / time.count() : 0;
}

/// What the machine does without a node, before and after.
class reference {
public:
  /// @param directory where the disk is measured; empty = not at all
  reference(std::string directory, const load_options& load)
      : directory_(std::move(directory)), load_(load) {}

  /// @error the disk's
  result<void> measure() {
    const auto time = std::min(max_reference_time, load_.duration);
    md5_bytes_per_second_ = std::max(md5_bytes_per_second_, measure_md5(load_.sequence_bytes, time));
    if (directory_.empty())
      return {};
    auto more = measure_disk(directory_, load_.sequence_bytes, load_.concurrency * load_.in_flight, time);
    if (!more)
      return pass_failure(more);
    disk_.one.add(more->one);
    disk_.batched_bytes += more->batched_bytes;
    disk_.batched_elapsed += more->batched_elapsed;
    return {};
  }

  [[nodiscard]] const disk_reference& disk() const { return disk_; }
  [[nodiscard]] double md5_bytes_per_second() const { return md5_bytes_per_second_; }

private:
  std::string directory_;
  const load_options& load_;
  disk_reference disk_;
  double md5_bytes_per_second_ = 0;
};

struct finding {
  const load_options& load;
  const std::string& mode;
  unsigned connections;
  const load_result& done;
  const machine_use& before;
  const machine_use& after;
  const reference& beside;
  bool node_is_here;
};

void show_rates(const finding& f, nlohmann::json& object, std::string& text) {
  const auto& done = f.done;
  const auto rate = [&](const char* what, std::uint64_t count, std::uint64_t bytes,
                        const latency_histogram& latency) {
    if (count == 0)
      return;
    const auto each = per_second(static_cast<double>(count), done.elapsed);
    const auto mb = per_second(static_cast<double>(bytes), done.elapsed) / 1e6;
    object[what] = {{"objects", count}, {"per_second", each}, {"mb_per_second", mb}};
    object[what]["latency"] = to_json(latency);
    text += fmt::format("{}: {:.0f}/s, {:.1f} MB/s; {}\n", what, each, mb, to_text(latency));
  };
  rate("put", done.puts, done.put_bytes, done.put_latency);
  rate("get", done.gets, done.get_bytes, done.get_latency);
}

/// What was written to the disk in between; a process that ended takes its share with it.
std::uint64_t written_between(const process_usage& from, const process_usage& to) {
  return to.written_bytes > from.written_bytes ? to.written_bytes - from.written_bytes : 0;
}

void show_rounds(const finding& f, nlohmann::json& object, std::string& text) {
  const auto rounds = static_cast<double>(f.after.rounds - f.before.rounds);
  const auto each = rounds > 0 ? static_cast<double>(f.done.puts) / rounds : 0;
  object["rounds_per_second"] = per_second(rounds, f.done.elapsed);
  object["archives_per_round"] = each;
  text += fmt::format("rounds: {:.0f}/s, {:.1f} archives each\n", per_second(rounds, f.done.elapsed), each);
}

void show_costs(const finding& f, nlohmann::json& object, std::string& text) {
  const auto& done = f.done;
  const auto gb = static_cast<double>(done.put_bytes + done.get_bytes) / 1e9;
  const auto objects = static_cast<double>(done.puts + done.gets);
  auto& cpu = object["cpu"];
  double all_seconds = 0;
  text += "cpu:";
  const auto cost = [&](const char* who, const process_usage& from, const process_usage& to) {
    const auto seconds = std::max(0.0, (to.cpu - from.cpu).count());
    all_seconds += seconds;
    cpu[who] = {{"seconds_per_gb", seconds / gb}, {"us_per_object", seconds * 1e6 / objects}};
    text += fmt::format(" {} {:.1f} us,", who, seconds * 1e6 / objects);
  };
  cost("client", f.before.client, f.after.client);
  if (f.node_is_here)
    cost("node", f.before.node, f.after.node);
  if (f.after.has_database)
    cost("database", f.before.database, f.after.database);
  text += fmt::format(" together {:.1f} us an object ({:.2f} s a GB)", all_seconds * 1e6 / objects,
                      all_seconds / gb);
  if (f.node_is_here) {
    object["peak_resident_bytes"] = f.after.node.peak_resident_bytes;
    text += fmt::format("; node's memory {} at its peak", human_size(f.after.node.peak_resident_bytes));
    if (done.put_bytes != 0) {
      const auto written =
        written_between(f.before.node, f.after.node) + written_between(f.before.database, f.after.database);
      const auto ratio = static_cast<double>(written) / static_cast<double>(done.put_bytes);
      object["written_per_stored"] = ratio;
      text += fmt::format("; {:.2f} bytes written for each stored", ratio);
    }
  }
  text += "\n";
}

void show_reference(const finding& f, nlohmann::json& object, std::string& text) {
  auto& beside = object["reference"];
  const auto md5 = f.beside.md5_bytes_per_second() / 1e6;
  beside["md5_mb_per_second"] = md5;
  text += fmt::format("reference: MD5 of the same buffers on all cores {:.0f} MB/s", md5);
  const auto& disk = f.beside.disk();
  if (disk.one.count() == 0) {
    text +=
      "; no disk: the node's is not here, or not this user's to write to; --reference-dir names another";
    return;
  }
  const auto batched = per_second(static_cast<double>(disk.batched_bytes), disk.batched_elapsed) / 1e6;
  beside["write_sync"] = to_json(disk.one);
  beside["batched_mb_per_second"] = batched;
  text +=
    fmt::format("; raw write + fdatasync of the same size p50 {:.0f} us, {} of them with one sync {:.0f} "
                "MB/s",
                us(disk.one.percentile(50)), f.load.concurrency * f.load.in_flight, batched);
  if (f.done.puts != 0 && f.load.sequences == 1) {
    const auto ratio = us(f.done.put_latency.percentile(50)) / us(disk.one.percentile(50));
    beside["put_p50_ratio"] = ratio;
    text += fmt::format("; put p50 is {:.2f} times the raw one", ratio);
  }
}

void show(output& out, const finding& f) {
  nlohmann::json object{{"mode", f.mode},
                        {"size_bytes", f.load.sequence_bytes},
                        {"sequences", f.load.sequences},
                        {"concurrency", f.load.concurrency},
                        {"in_flight", f.load.in_flight},
                        {"connections", f.connections},
                        {"seconds", f.done.elapsed.count()}};
  auto text = fmt::format("{} of {}{}, {} clients, {} in flight each, {} connection{}, {:.1f} s\n", f.mode,
                          f.load.sequences == 1 ? "" : fmt::format("{} x ", f.load.sequences),
                          human_size(f.load.sequence_bytes), f.load.concurrency, f.load.in_flight,
                          f.connections, f.connections == 1 ? "" : "s", f.done.elapsed.count());
  show_rates(f, object, text);
  show_rounds(f, object, text);
  show_costs(f, object, text);
  show_reference(f, object, text);
  if (out.is_json())
    out.result(object, {});
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    out.note(line);
}

/// The node, over as many connections as asked for: each needs an actor system of its own.
class reached_node {
public:
  /// @error what the host answers; not_found, timed_out
  result<void> reach(network& net, const node_address& where) {
    const auto limit = client_options{}.connect_timeout;
    auto host = connect_host(net.wire(), where.host, limit);
    if (!host)
      return pass_failure(host);
    auto found = ask_for_node(net.system(), host->host, where.node, limit);
    if (!found)
      return pass_failure(found);
    process_ = process_on_this_machine(host->host.node());
    targets_.push_back({&net.system(), found->node});
    return {};
  }

  [[nodiscard]] const std::vector<load_target>& targets() const { return targets_; }
  [[nodiscard]] pid_t process() const { return process_; }

private:
  std::vector<load_target> targets_;
  pid_t process_ = 0;
};

/// @error invalid_message: which option is wrong, and what would be right
result<load_options> read_options(const bench_options& options, const node_limits& limits) {
  const auto wrong = [](const char* option, const std::string& given, const std::string& right) {
    return fail(errc::invalid_message, fmt::format("{} is {}, it must be {}", option, given, right));
  };
  load_options load;
  const auto mode = parse_mode(options.mode);
  if (!mode)
    return wrong("--mode", options.mode, "put, get or mixed");
  load.mode = *mode;
  const auto size = parse_size(options.size);
  if (!size || *size == 0 || *size > limits.max_sequence_bytes)
    return wrong("--size", options.size,
                 fmt::format("a size from 1 to the node's limit of {} bytes", limits.max_sequence_bytes));
  load.sequence_bytes = static_cast<std::uint32_t>(*size);
  const auto range = parse_size(options.range);
  if (!range || *range > *size)
    return wrong("--range", options.range, "a size up to --size");
  load.range_bytes = static_cast<std::uint32_t>(*range);
  if (!(options.seconds > 0 && options.seconds <= max_seconds))
    return wrong("--seconds", fmt::format("{}", options.seconds),
                 fmt::format("above 0, at most {}", max_seconds));
  load.duration = std::chrono::milliseconds{static_cast<std::int64_t>(options.seconds * 1e3)};
  if (options.connections == 0 || options.connections > options.concurrency)
    return wrong("--connections", fmt::format("{}", options.connections), "1 to --concurrency");
  load.sequences = options.sequences;
  load.concurrency = options.concurrency;
  load.in_flight = options.in_flight;
  load.objects = options.objects;
  load.collection = options.collection;
  if (auto checked = check(load); !checked)
    return pass_failure(checked);
  return load;
}

} // namespace

exit_code bench(const context& where, const bench_options& options, const transport_options& transport) {
  const auto report_of = [&](const failure& why) { return report(where.out, why.code, why.message); };
  auto code = exit_code::failed;
  const auto node = connect(where, code);
  if (!node)
    return code;
  auto load = read_options(options, node->node().limits);
  if (!load) {
    where.out.error(load.error().message);
    return exit_code::usage;
  }
  load->key_prefix = fmt::format("bench/{}/", node->next_unified_id().value);

  std::vector<std::unique_ptr<network>> further;
  reached_node reached;
  for (unsigned i = 0; i < options.connections; ++i) {
    auto* net = &where.net;
    if (i > 0) {
      auto opened = network::open(transport);
      if (!opened)
        return report_of(opened.error());
      net = further.emplace_back(std::move(*opened)).get();
    }
    if (auto found = reached.reach(*net, where.node); !found)
      return report_of(found.error());
  }
  node_watch watch(*node, reached.process());
  reference beside(options.reference_directory.empty() ? watch.directory() : options.reference_directory,
                   *load);
  const auto measure_reference = [&] { // a directory that nobody asked for may be of no use
    const auto measured = beside.measure();
    const auto matters = !measured && !options.reference_directory.empty();
    if (matters)
      where.out.error(fmt::format("the raw disk cannot be measured: {}", measured.error().message));
    return !matters;
  };
  if (!measure_reference())
    return exit_code::failed;
  machine_use before;
  const auto done = run_load(reached.targets(), *load, [&] { before = watch.now(); });
  const auto after = watch.now();
  if (!done)
    return report_of(done.error());
  if (done->puts + done->gets == 0)
    return report_of({errc::timed_out, "nothing was answered in that time: --seconds must be more"});
  if (!measure_reference())
    return exit_code::failed;
  show(where.out, {*load, options.mode, options.connections, *done, before, after, beside, watch.is_here()});
  return exit_code::done;
}

} // namespace cairn::cli
