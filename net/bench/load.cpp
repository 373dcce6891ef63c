#include "net/bench/load.hpp"

#include "net/bench/load_client.hpp"
#include "net/bench/load_plan.hpp"

#include <caf/send.hpp>

namespace cairn::bench {

namespace {

constexpr std::chrono::minutes preparing_limit{30};
constexpr std::chrono::minutes finishing_limit{2}; ///< longer than the limit of a request

/// The clients, gone with this object.
class crew {
public:
  crew(const std::vector<load_target>& targets, const std::shared_ptr<const load_plan>& plan) {
    for (std::uint32_t i = 0; i < plan->options.concurrency; ++i) {
      const auto& target = targets[i % targets.size()];
      clients_.push_back(target.system->spawn(load_client, load_client_options{target.node, plan, i}));
    }
  }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;
  ~crew() {
    for (const auto& client : clients_)
      caf::anon_send_exit(client, caf::exit_reason::user_shutdown);
  }

  result<load_result> run(phase::kind what, load_clock::time_point until, std::chrono::milliseconds limit) {
    const auto line = std::make_shared<finish_line>(clients_.size());
    for (const auto& client : clients_)
      caf::anon_send(client, phase{what, until, line});
    return line->wait(limit);
  }

private:
  std::vector<load_client_actor> clients_;
};

} // namespace

void load_result::add(const load_result& other) {
  puts += other.puts;
  gets += other.gets;
  put_bytes += other.put_bytes;
  get_bytes += other.get_bytes;
  put_latency.add(other.put_latency);
  get_latency.add(other.get_latency);
}

result<load_result> run_load(const std::vector<load_target>& targets, const load_options& options,
                             const std::function<void()>& on_begin) {
  auto plan = make_plan(options);
  if (!plan)
    return pass_failure(plan);
  crew clients(targets, *plan);
  if (auto greeted = clients.run(phase::kind::greet, {}, finishing_limit); !greeted)
    return greeted;
  if (options.mode != load_mode::put)
    if (auto prepared = clients.run(phase::kind::prepare, {}, preparing_limit); !prepared)
      return prepared;
  on_begin();
  const auto begun = load_clock::now();
  auto done = clients.run(phase::kind::measure, begun + options.duration, options.duration + finishing_limit);
  if (done)
    done->elapsed = load_clock::now() - begun;
  return done;
}

} // namespace cairn::bench
