# A film of four shots and two titles: reel storyboard examples/red_ball.story -o film.mp4
# docs/storyboard.md explains every word.

seed: 7
style: bright colors

@ball: a large red rubber ball
@meadow: green grass under a clear sky
@beach: a sandy beach at sunset

title: The red ball
  seconds: 1.5

shot: @ball rolls to the right over @meadow
  seconds: 3
  camera: pan right
  begin: fade 0.5

shot: @ball bounces on @meadow
  seconds: 4
  begin: continue
  at 2: @ball stands still on @meadow

shot: @ball rolls to the left over @beach
  seconds: 3
  camera: move in
  begin: fade 0.75

title: The end
  seconds: 1.5
  begin: fade 0.5
