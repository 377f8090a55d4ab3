"""Speed, measured side by side: phiserve, plain vLLM and transformers on the same machine, in turn. See
README.md.

The harness (`run`) starts every server itself, ends only those, and knows them by HTTP and by /proc. It
imports neither torch nor vLLM: what needs them runs in processes of its own (`stages`, `plain_stages`,
`roofline`, `generate`, `linear`), which end in one JSON line.

- what is compared: `peers` start servers with the `settings` they share, on `checkpoints`
  (`torchvision_stand_in` is for the reference's code)
- what is asked: `images` are drawn, `workloads` make bodies of them, `load` sends these, `stream` reads the
  answers
- what is measured: `processes`, `metrics`, `answers`; `session` puts them together into `records`
- parts: `serving`, `burst`, `clip`, `growth`, `stage_runs` (with `render`, `our_renderer`), `full_size` (with
  `work_counts`), `transformers_runs`, `tools` (with `load_tools`, `vllm_bench`); all that they share is in
  `bench`, `command` and `environments`
- by themselves: `fairness` (with `flood`, `keys`), what one owner notices of another; `soak` (with
  `soak_bodies`, `soak_fates`, `soak_clients`, `soak_load`, `soak_samples`, `soak_report`), whether a server
  lasts
- one layer alone: `linear`, with whole and quantized weights
- what is told: `figures`, `targets`, `tables`, `plots`, `report`
"""
